/* Who may grant: the lineage of the dedup set, as a specification. One mail, two processes (a group and a replay beside it:
 * both may attempt it), two Redis servers. An address moves for one process or for both, a replica is promoted, the address
 * goes back to a primary that lived on, a server starts again with a prefix of what it held, FLUSHALL comes at any moment,
 * a process is slow, dead or stands still.
 *
 * What is checked in every reachable state: SES accepts at most one message (G1). `make spec` also takes each rule out
 * (BREAK) and expects two accepted messages. What one server and a partition's owner do is `mailonce.pml`.
 *
 * Time is three facts: a process's currency runs out, and an attempt's lifetime, each at any moment; a claim expires once
 * every attempt that it names is over or was never granted. */

#ifndef FAULTS
#define FAULTS 1             /* beside what has happened before the world begins: nothing, INTERLUDE or SPLIT */
#endif
#define NOTHING 0
#define NO_CURRENCY 1        /* a request leaves without a look at the heartbeat */
#define NO_WAIT 2            /* a rebuild waits for nobody's acknowledgement */
#define READ_EARLY 3         /* it reads to an end that it asked for before the wait */
#define UNBOUND_TOKEN 4      /* what it restores and marks is bound to no server's life */
#define LAPSE_FORGIVEN 5     /* current again, a process calls for what it intended before */
#define IDS_IGNORED 6        /* the marker names no server: a promoted replica is believed */
#define LINEAGE_IGNORED 7    /* it names no lineage: a primary that lived on is believed */
#ifndef BREAK
#define BREAK NOTHING
#endif

#define ATTEMPTS 3
#ifndef LINEAGES
#define LINEAGES 3
#endif
#define LIVES 4
#define NOBODY 9             /* a claim of several: any of the open intents */

mtype = { NONE, SENDING, SENT, UNCERTAIN };

/* Kafka: ledger and attempts, and the control topic */
mtype outcome = NONE;
byte attempts = 0;
bool intent[ATTEMPTS];       /* committed, and not withdrawn */
byte newest = 1;             /* lineage */
byte knows[2] = 1;           /* the lineage that each process's last heartbeat acknowledges */
bool current[2] = true;      /* that heartbeat came back, and is not 10 s old */
bool tenure[2];              /* what the process intends it may call: neither lapse nor newer lineage since */
/* Redis */
byte at[2] = 0;              /* which server each process reaches */
mtype entry[2] = NONE;
byte holder[2] = NOBODY;
byte marked[2];              /* the marker's lineage; 0: none */
byte markid[2];              /* the marker's server */
byte life[2];                /* the id of the server's own run */
byte lock[2] = NOBODY;
byte lockid[2];
mtype kept[2] = NONE;        /* what it held when it was marked: the shortest prefix that says it is whole */
byte kept_holder[2] = NOBODY;
byte kept_mark[2];
/* SES */
bool granted[ATTEMPTS];
bool over[ATTEMPTS];
byte accepted = 0;

byte faults = 0;

#define LIVE(a) (intent[a] && granted[a] && !over[a])
#define RUNS(who) ((who == NOBODY) -> (LIVE(0) || LIVE(1) || LIVE(2)) : (granted[who] && !over[who]))
#define IDS(s) (BREAK == IDS_IGNORED || markid[s] == life[s])
#define LINEAGE(s, me) (BREAK == LINEAGE_IGNORED || marked[s] == knows[me])
#define WHOLE(s, me) (marked[s] != 0 && IDS(s) && LINEAGE(s, me))
#define NAMES(p) (current[p] && knows[p] == newest && WHOLE(at[p], p))
#define HELD(me) (BREAK == UNBOUND_TOKEN || (lock[at[me]] == me && lockid[at[me]] == life[at[me]]))
#define MAY_CALL(me) (BREAK == NO_CURRENCY || (current[me] && (tenure[me] || BREAK == LAPSE_FORGIVEN)))

proctype Process(byte me) {
    byte mine = NOBODY, begun = 0, open = 0, who = NOBODY, n = 0;
    mtype seen = NONE;
again:
    atomic {
        mine = NOBODY; begun = 0; open = 0; who = NOBODY; seen = NONE; n = 0; tenure[me] = false;
        if
        :: outcome != NONE -> goto end_done
        :: outcome == NONE && attempts < ATTEMPTS ->
            mine = attempts; attempts++; intent[mine] = true; tenure[me] = current[me]
        :: outcome == NONE && attempts == ATTEMPTS -> goto end_done
        fi
    }
claim:
    atomic {
        if
        :: WHOLE(at[me], me) && (entry[at[me]] == NONE || (entry[at[me]] == SENDING && holder[at[me]] == mine)) ->
            entry[at[me]] = SENDING; holder[at[me]] = mine; granted[mine] = true
        :: WHOLE(at[me], me) && (entry[at[me]] == SENT || entry[at[me]] == UNCERTAIN) ->
            intent[mine] = false;
            if :: outcome == NONE -> outcome = entry[at[me]] :: else fi;
            goto end_done
        :: !WHOLE(at[me], me) && current[me] && knows[me] == newest && newest < LINEAGES && !NAMES(1 - me) ->
            intent[mine] = false; mine = NOBODY; tenure[me] = false;   /* nothing was called under it: it is withdrawn */
            goto rebuild
        fi
    }
check:
    atomic {
        if
        :: MAY_CALL(me)
        :: !MAY_CALL(me) ->                                        /* freed and withdrawn; never called */
            if
            :: WHOLE(at[me], me) && entry[at[me]] == SENDING && holder[at[me]] == mine -> entry[at[me]] = NONE; holder[at[me]] = NOBODY
            :: else
            fi;
            intent[mine] = false;
            goto again
        fi
    }
request:
    /* It may stand still here for as long as it likes: SES takes no old signature. */
    atomic {
        if
        :: over[mine] -> goto end_done                             /* refused; its claim expires by itself */
        :: !over[mine] -> accepted++; assert(accepted == 1)
        fi
    }
    /* A fact: it goes in unchecked. The answer may be lost, or the process die before: then the claim expires. */
    if
    :: atomic { entry[at[me]] = SENT; holder[at[me]] = NOBODY }; outcome = SENT
    :: faults < FAULTS -> faults++
    fi;
    goto end_done;

rebuild:
    atomic {
        if
        :: newest == LINEAGES -> goto end_done
        :: newest < LINEAGES -> newest++; begun = newest; knows[me] = begun; lock[at[me]] = me; lockid[at[me]] = life[at[me]]
        fi;
        n = 0
    }
    if :: BREAK == READ_EARLY -> goto read :: else fi;
wait:
    (BREAK == NO_WAIT || knows[1 - me] >= begun || !current[1 - me]);
    if :: BREAK == READ_EARLY -> goto restore :: else fi;
read:
    atomic {
        seen = outcome; open = 0; who = NOBODY; n = 0;
        do
        :: n < ATTEMPTS -> if :: intent[n] -> open++; who = n :: else fi; n++
        :: else -> break
        od;
        if :: open != 1 -> who = NOBODY :: else fi;
        open = (open > 0 -> 1 : 0); n = 0
    }
    if :: BREAK == READ_EARLY -> goto wait :: else fi;
restore:
    atomic {
        if
        :: !HELD(me) -> goto again
        :: HELD(me) ->
            if
            :: seen != NONE && entry[at[me]] != SENT -> entry[at[me]] = seen; holder[at[me]] = NOBODY
            :: seen == NONE && open > 0 && entry[at[me]] == NONE -> entry[at[me]] = SENDING; holder[at[me]] = who
            :: seen == NONE && open > 0 && entry[at[me]] == SENDING && holder[at[me]] != who -> holder[at[me]] = NOBODY
            :: else
            fi
        fi
    }
mark:
    atomic {
        if
        :: HELD(me) && knows[me] == begun -> 
            marked[at[me]] = begun; markid[at[me]] = life[at[me]]; lock[at[me]] = NOBODY; lockid[at[me]] = 0;
            kept[at[me]] = entry[at[me]]; kept_holder[at[me]] = holder[at[me]]; kept_mark[at[me]] = begun
        :: else
        fi
    }
    goto again;
end_done:
    skip
}

/* Heartbeats: written and read back, so that whatever control held before is known; a newer lineage ends the tenure. */
#define BEAT(p) \
    :: atomic { !current[p] || knows[p] != newest -> \
        tenure[p] = false; knows[p] = newest; current[p] = true }
#define LAPSE(p) :: atomic { current[p] -> current[p] = false; tenure[p] = false }
#define PASS(a) :: atomic { granted[a] && !over[a] -> over[a] = true }
#define EXPIRE(s) :: atomic { entry[s] == SENDING && !RUNS(holder[s]) -> entry[s] = UNCERTAIN; holder[s] = NOBODY }
#define MOVE(p) :: atomic { faults < FAULTS -> faults++; at[p] = 1 - at[p] }
#define FLUSH(s) :: atomic { faults < FAULTS -> faults++; entry[s] = NONE; holder[s] = NOBODY; marked[s] = 0; markid[s] = 0; \
        lock[s] = NOBODY; lockid[s] = 0 }
/* What comes back is all that was there, or a prefix of it. */
#define GOES_BACK(s) if :: entry[s] = kept[s]; holder[s] = kept_holder[s]; marked[s] = kept_mark[s] :: true fi
#define RESTART(s) :: atomic { faults < FAULTS && life[s] + 2 <= LIVES -> faults++; life[s] = life[s] + 2; lock[s] = NOBODY; lockid[s] = 0; \
        GOES_BACK(s) }
/* A replica takes over: it has all of the primary or lacks the end, marker and lock included. Both addresses follow. */
#define PROMOTE(s) :: atomic { faults < FAULTS && at[0] == s && at[1] == s -> faults++; \
        entry[1 - s] = entry[s]; holder[1 - s] = holder[s]; marked[1 - s] = marked[s]; markid[1 - s] = markid[s]; \
        lock[1 - s] = lock[s]; lockid[1 - s] = lockid[s]; \
        kept[1 - s] = kept[s]; kept_holder[1 - s] = kept_holder[s]; kept_mark[1 - s] = kept_mark[s]; \
        GOES_BACK(1 - s); at[0] = 1 - s; at[1] = 1 - s }
/* The address goes back to a primary that lived on and never heard of the interlude. */
#define BACK(s) :: atomic { faults < FAULTS && at[0] != s && at[1] != s -> faults++; at[0] = s; at[1] = s }

active proctype World() {
end:
    do
    BEAT(0) BEAT(1) LAPSE(0) LAPSE(1)
    PASS(0) PASS(1) PASS(2)
    EXPIRE(0) EXPIRE(1)
    /* The processes are alike: it is the second whose address moves, and the first server that is there first. */
    MOVE(1) FLUSH(0) FLUSH(1) RESTART(0) RESTART(1) PROMOTE(0) BACK(0)
    od
}

init {
    atomic {
        life[0] = 0; life[1] = 1;                                  /* even: the first server's lives; odd: the second's */
        marked[0] = 1; markid[0] = 0; kept_mark[0] = 1;
#ifdef INTERLUDE
        /* The second server, a replica that was promoted, is in use, and the first lives on: the address may go back to it. */
        at[0] = 1; at[1] = 1; marked[1] = 1; kept_mark[1] = 1;
#endif
#ifdef SPLIT
        /* The address has moved for one of the two: the other server is empty. */
        at[1] = 1;
#endif
        run Process(0); run Process(1)
    }
}
