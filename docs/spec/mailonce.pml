/* The protocol for one mail, as a specification: intend -> claim -> send -> record, with two processors that may die or
 * lose their partition at any step, a Redis that may be wiped, answers that may be lost, and evidence.
 *
 * What is checked in every reachable state: SES accepts at most one message (G1), nobody is stuck and the mail has an
 * outcome in the end (G2), and the ledger says `sent` only of what SES accepted. Outcome and offset are one step (G3).
 * `make spec` also breaks the protocol on purpose (BREAK) and expects each break to be found.
 *
 * Time is one fact for each attempt: once it is over, its call can neither start nor be accepted (the sender looks at its
 * deadline just before the request, and SES refuses an old signature). It may come at any moment. */

#ifndef FAULTS
#define FAULTS 3
#endif
#define NOTHING 0
#define NO_INTENT 1          /* the claim alone: Redis forgets it */
#define EARLY_TAKEOVER 2     /* a claim is taken over while its call may still run */
#define FREE_ON_LOST 3       /* a lost answer is taken for a refusal */
#define NO_MARKER 4          /* a wiped set is believed */
#define ONE_OF_MANY 5        /* of several open intents the last is put back under its own name */
#define CLAIM_LATE 6         /* the call first, then the claim */
#ifndef BREAK
#define BREAK NOTHING
#endif

#define ATTEMPTS 5
#define NOBODY 9             /* several intents are open: any of them may have called */

mtype = { NONE, SENDING, SENT, UNCERTAIN, ACCEPTED, REFUSED, LOST };

/* Kafka */
byte owner = 0;              /* of the partition; a commit of anyone else fails */
mtype outcome = NONE;        /* the ledger */
bool intent[ATTEMPTS];
byte attempts = 0;
/* Redis */
mtype entry = NONE;
byte holder = NOBODY;
bool whole = true;           /* the marker */
byte life = 0;               /* of the server: a wipe begins a new one */
byte locker = NOBODY;        /* who rebuilds */
/* SES */
bool calling[ATTEMPTS];
bool over[ATTEMPTS];         /* the attempt's lifetime */
mtype answer[ATTEMPTS] = NONE;
byte accepted = 0;

byte faults = 0;
byte refusals = 0;
bool exhausted = false;      /* the model ran out of attempts: nothing is said about this end */
byte ended = 0;

/* Whether what holds the claim can still call. */
#define RUNS(who) ((who == NOBODY) -> (LIVE(0) || LIVE(1) || LIVE(2) || LIVE(3) || LIVE(4)) : !over[who])
#define LIVE(n) (intent[n] && !over[n])
#define TAKEN(mine) (entry == SENDING && holder != mine && (BREAK != EARLY_TAKEOVER) && RUNS(holder))
#define MAY_DIE if :: faults < FAULTS -> faults++; goto born :: true fi

proctype Processor(byte me) {
    byte mine = NOBODY, open, n, seen_life;
    mtype found, seen;
born:
    atomic { if :: locker == me -> locker = NOBODY :: else fi; mine = NOBODY; found = NONE; seen = NONE; open = 0; n = 0; seen_life = 0 }
again:
    (owner == me || outcome != NONE || exhausted);
    if :: exhausted -> goto end_settled :: else fi;
    MAY_DIE;
    /* One transaction: the intent, if the partition is ours and its offset is not settled. */
    atomic {
        if
        :: outcome != NONE -> goto end_settled
        :: outcome == NONE && owner == me && attempts < ATTEMPTS ->
            mine = attempts; attempts++;
            intent[mine] = (BREAK != NO_INTENT)
        :: outcome == NONE && owner == me && attempts == ATTEMPTS -> exhausted = true; goto end_settled
        :: outcome == NONE && owner != me -> goto again
        fi
    }
    if :: BREAK == CLAIM_LATE -> goto call :: else fi;
claim:
    MAY_DIE;
    (!TAKEN(mine) || (!whole && BREAK != NO_MARKER));
    atomic {
        if
        :: !whole && BREAK != NO_MARKER -> goto rebuild
        :: (whole || BREAK == NO_MARKER) && entry == NONE ->
            entry = SENDING; holder = mine; over[mine] = false            /* the lifetime begins */
        :: (whole || BREAK == NO_MARKER) && entry == SENDING && holder == mine
        :: (whole || BREAK == NO_MARKER) && TAKEN(mine) -> goto claim
        :: (whole || BREAK == NO_MARKER) && entry == SENDING && holder != mine && !TAKEN(mine) ->
            if
            :: BREAK == EARLY_TAKEOVER -> holder = mine
            :: BREAK != EARLY_TAKEOVER -> entry = UNCERTAIN; found = UNCERTAIN; goto record
            fi
        :: (whole || BREAK == NO_MARKER) && (entry == SENT || entry == UNCERTAIN) -> found = entry; goto record
        fi
    }
call:
    MAY_DIE;
    atomic {
        if
        :: over[mine] -> answer[mine] = REFUSED   /* nothing was written */
        :: !over[mine] -> calling[mine] = true; answer[mine] = NONE
        fi
    }
    MAY_DIE;
    answer[mine] != NONE;
    MAY_DIE;
    /* A mark is a fact and may be written at any time; a release and a doubt only by the holder. */
    atomic {
        if
        :: answer[mine] == ACCEPTED -> entry = SENT; found = SENT
        :: answer[mine] == REFUSED || (answer[mine] == LOST && BREAK == FREE_ON_LOST) ->
            if :: entry == SENDING && holder == mine -> entry = NONE :: else fi;
            answer[mine] = NONE;
            goto claim
        :: answer[mine] == LOST && BREAK != FREE_ON_LOST ->
            if :: entry == SENDING && holder == mine -> entry = UNCERTAIN :: else fi;
            found = (entry == SENT -> SENT : UNCERTAIN)
        fi
    }
record:
    MAY_DIE;
    /* One transaction: the outcome and the offset, if the partition is still ours. */
    atomic { if :: owner == me && outcome == NONE -> outcome = found :: else fi }
    goto again;
rebuild:
    atomic { (locker == NOBODY || whole); if :: whole -> goto claim :: else -> locker = me; seen_life = life fi }
    MAY_DIE;
    atomic {
        seen = outcome; open = 0; n = 0;
        do :: n < ATTEMPTS -> if :: intent[n] -> open++ :: else fi; n++ :: else -> break od
    }
    MAY_DIE;
    atomic {
        if
        :: seen_life != life -> skip                                   /* wiped again: another server's run */
        :: seen_life == life && entry == NONE ->
            if
            :: seen != NONE -> entry = seen
            :: seen == NONE && open > 0 ->
                entry = SENDING; holder = NOBODY; n = 0;
                do
                :: n < ATTEMPTS ->
                    if :: intent[n] && (open == 1 || BREAK == ONE_OF_MANY) -> holder = n :: else fi; n++
                :: else -> break
                od
            :: seen == NONE && open == 0 -> skip
            fi
        :: seen_life == life && entry != NONE -> skip
        fi
    }
    MAY_DIE;
    atomic { if :: seen_life == life -> whole = true :: else fi; locker = NOBODY }
    goto claim;
end_settled:
    ended++
}

#define SERVE(a) \
    :: atomic { calling[a] && !over[a] -> \
        calling[a] = false; \
        if \
        :: accepted++; assert(accepted == 1); \
            if :: answer[a] = ACCEPTED :: faults < FAULTS -> faults++; answer[a] = LOST fi \
        :: refusals < 1 -> refusals++; answer[a] = REFUSED \
        :: faults < FAULTS -> faults++; answer[a] = LOST \
        fi } \
    :: atomic { calling[a] && over[a] -> calling[a] = false; answer[a] = LOST }

active proctype Ses() {
end:
    do SERVE(0) SERVE(1) SERVE(2) SERVE(3) SERVE(4) od
}

active proctype Evidence() {
end:
    do :: atomic { accepted > 0 && outcome == UNCERTAIN -> entry = SENT; outcome = SENT } od
}

#define PASS(a) :: atomic { a < attempts && !over[a] -> over[a] = true }

active proctype World() {
end:
    do
    PASS(0) PASS(1) PASS(2) PASS(3) PASS(4)
    :: atomic { faults < FAULTS -> faults++; owner = 1 - owner }
    :: atomic { faults < FAULTS -> faults++; entry = NONE; holder = NOBODY; whole = false; life++ }
    :: ended == 2 -> break
    od;
    ended == 2;
    assert(exhausted || outcome != NONE);
    assert(outcome != SENT || accepted == 1)
}

init { atomic { run Processor(0); run Processor(1) } }
