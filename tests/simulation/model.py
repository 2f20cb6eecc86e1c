"""Two processors, two jobs and the world around them as one immutable state, and every step that can follow from it.

The decisions are the product's own (`processor.core`): what follows a claim, an answer, a mark; which offset may be
committed; what a rebuild puts back; what an event changes. Only the shells around them are modelled here: Kafka as a log
with an owner, Redis as two claims, SES as the list of what it accepted, the event feed as a bag. Time passes where it
may: a lifetime ends only for an attempt whose holder is dead or stands still.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from processor.core import decide
from processor.core.answers import Accepted, Answer, NotWritten, RetryClass, ServiceError, Unanswered, Verdict, classify
from processor.core.evidence import SesEvent, proof_is_news
from processor.core.offsets import Window
from processor.core.rebuild import Fold
from processor.core.states import ABSENT, Claim, State, parse_claim
from processor.ops.spill import SpillingMap
from processor.ports import Item
from schemas.identity import Key
from schemas.records import Attempt, Delivery, Outcome, Resend, Source
from tests.simulation.dedup import Scripts
from tests.simulation.log import Partition

__all__ = ["KEYS", "Rules", "World", "canonical", "first_world", "steps", "violations"]

KEYS = (Key("a", "2026-11"), Key("b", "2026-11"))
ANSWERS: dict[str, Answer] = {
    "refused": ServiceError(400, "MessageRejected", "content"),
    "throttled": ServiceError(429, "TooManyRequestsException", "Maximum sending rate exceeded."),
    "lost": Unanswered("ReadTimeoutError", "no answer"),
    "late": NotWritten("deadline", "the claim grew too old"),
}
TRIES_MAX = dict.fromkeys(RetryClass, 99)


class Rules:
    """The protocol as it is. A mutation overrides a rule; the exploration must then find what it breaks."""

    scripts = Scripts()
    intent_first = True
    claim_first = True
    needs_marker = True
    mark_at_once = True
    outcomes_with_offsets = True
    owner_checked = True
    deadline_checked = True
    delete_after_commit = True
    lifetime_waited = True
    intents_rebuilt = True
    fold = Fold

    def verdict(self, answer: Answer) -> Verdict:
        return classify(answer)

    def after_claim(self, claim: Claim, work: Work) -> decide.AfterClaim:
        return decide.after_claim(claim, mine=work.attempt, fingerprint="", partition=0, offset=work.offset)

    def is_news(self, event: SesEvent, before: Claim) -> bool:
        return proof_is_news(event, before)


class Work(NamedTuple):
    """A record in a processor's hands: fresh, ready (intended), calling (claimed), air (SES has it), done."""

    offset: int
    key: int
    overrides: str
    phase: str = "fresh"
    attempt: str = ""
    answer: str = ""
    result: decide.Settle | decide.Skip | None = None


class Processor(NamedTuple):
    """A crash and the start after it are one step: a processor that is away does no more than one that waits."""

    stalled: bool = False
    generation: int = 0
    """0: it holds no partition, as far as it knows."""
    base: tuple[int, str] = (0, "")
    position: int = 0
    works: tuple[Work, ...] = ()
    orphans: tuple[Work, ...] = ()
    """Calls of a partition that was lost: they go on, their marks are facts, their outcomes are another's."""
    marks: tuple[Work, ...] = ()
    """Outcomes that the ledger holds and Redis has not been told of."""


class World(NamedTuple):
    jobs: tuple[tuple[int, str], ...]
    """(key, attempt that a resend overrides)"""
    claims: tuple[Claim, ...]
    whole: bool
    snapshot: tuple[Claim, ...] | None
    """What a rebuild has read and not put back yet."""
    intents: tuple[tuple[tuple[str, int, str, bool], ...], ...]
    """per key: (attempt, offset, overrides, withdrawn)"""
    ledger: tuple[tuple[tuple[str, str, str, int], ...], ...]
    """per key: (outcome, attempt, message id, offset)"""
    log: Partition
    processors: tuple[Processor, ...]
    accepted: tuple[tuple[str, ...], ...]
    late: frozenset[str]
    """Attempts whose lifetime has passed: SES takes no request of theirs any more."""
    events: tuple[tuple[int, str], ...]
    evidence: tuple[int, str, bool] | None
    """Evidence at work: (key, attempt, whether the ledger holds it already)."""
    faults: int
    excused: frozenset[int]
    """Keys with a call in flight at a fault: these may be in doubt."""
    wiped: bool
    missed: frozenset[int]
    """Keys whose event was lost: their doubt stays."""
    rejects: int
    """The key that SES refuses for its content; -1 for none."""
    resends: bool
    """Whether the policy sends again what no event proved."""


Steps = Iterator[tuple[str, World]]


def first_world(faults: int, *, jobs: int = 2, rejects: int = -1, resends: bool = False) -> World:
    return World(
        jobs=tuple((key, "") for key in range(jobs)),
        claims=(ABSENT, ABSENT),
        whole=True,
        snapshot=None,
        intents=((), ()),
        ledger=((), ()),
        log=Partition(),
        processors=(Processor(), Processor()),
        accepted=((), ()),
        late=frozenset(),
        events=(),
        evidence=None,
        faults=faults,
        excused=frozenset(),
        wiped=False,
        missed=frozenset(),
        rejects=rejects,
        resends=resends,
    )


def steps(world: World, rules: Rules) -> Steps:
    """Every step that may come next; a name that begins with ``!`` is a fault."""
    for number, processor in enumerate(world.processors):
        if processor.stalled:
            yield f"continue {number}", _with(world, number, processor._replace(stalled=False))
        else:
            yield from _processor_steps(world, rules, number, processor)
    yield from _group_steps(world)
    yield from _time_steps(world, rules)
    yield from _redis_steps(world, rules)
    yield from _evidence_steps(world, rules)
    if world.faults:
        yield from _faults(world._replace(faults=world.faults - 1))


# ---- a processor ----


def _processor_steps(world: World, rules: Rules, number: int, processor: Processor) -> Steps:
    if processor.generation and processor.position < len(world.jobs):
        yield f"poll {number}", _with(world, number, _polled(world, processor))
    if any(work.phase in {"fresh", "done"} for work in processor.works):
        yield from _commits(world, rules, number, processor)
    for index, work in enumerate(processor.works):
        for name, after, changed in _work_steps(world, rules, work):
            works = (*processor.works[:index], changed, *processor.works[index + 1 :])
            yield f"{name} {number}/{work.offset}", _with(after, number, processor._replace(works=works))
    for index, work in enumerate(processor.orphans):
        for name, after, changed in _work_steps(world, rules, work):
            kept = (changed,) if changed.phase in {"calling", "air"} else ()
            orphans = (*processor.orphans[:index], *kept, *processor.orphans[index + 1 :])
            yield f"orphan {name} {number}/{work.offset}", _with(after, number, processor._replace(orphans=orphans))
    if processor.marks:
        yield _mark_recorded(world, rules, number, processor)


def _polled(world: World, processor: Processor) -> Processor:
    window = Window(*processor.base)
    unsettled = [offset for offset in range(processor.base[0], len(world.jobs)) if window.add(offset)]
    fresh = [Work(offset, *world.jobs[offset]) for offset in unsettled if offset >= processor.position]
    return processor._replace(position=len(world.jobs), works=(*processor.works, *fresh))


def _work_steps(world: World, rules: Rules, work: Work) -> Iterator[tuple[str, World, Work]]:
    match work.phase:
        case "ready" if not rules.claim_first:
            yield from _call(world, rules, work)
        case "ready" if world.whole or not rules.needs_marker:
            claim = rules.scripts.claim(world.claims[work.key], _item(work), 0)
            after = _claimed(world, work.key, claim)
            match rules.after_claim(claim, work):
                case decide.Call():
                    yield "claim", after, work._replace(phase="calling")
                case decide.WaitForOther():
                    pass
                case other:
                    yield "look", after, work._replace(phase="done", result=other)
        case "calling":
            yield from _call(world, rules, work)
        case "air":
            yield "answer", *_answered(world, rules, work)


def _call(world: World, rules: Rules, work: Work) -> Iterator[tuple[str, World, Work]]:
    """The request leaves, unless it is too late; SES takes it or not; the answer is on its way."""
    if work.attempt in world.late and rules.deadline_checked:
        yield "too late", world, work._replace(phase="air", answer="late")
        return
    if work.key == world.rejects:
        yield "call", world, work._replace(phase="air", answer="refused")
        return
    accepted = _replaced(world.accepted, work.key, (*world.accepted[work.key], work.attempt))
    events = tuple(sorted((*world.events, (work.key, work.attempt))))
    took = world._replace(accepted=accepted, events=events)
    yield "call", took, work._replace(phase="air", answer="ok")
    if world.faults:
        one_less = {"faults": world.faults - 1}
        doubt = {"excused": world.excused | {work.key}}
        yield "!answer lost", took._replace(**one_less, **doubt), work._replace(phase="air", answer="lost")
        yield "!never came", world._replace(**one_less, **doubt), work._replace(phase="air", answer="lost")
        yield "!throttled", world._replace(**one_less), work._replace(phase="air", answer="throttled")


def _answered(world: World, rules: Rules, work: Work) -> tuple[World, Work]:
    answer = Accepted(work.attempt) if work.answer == "ok" else ANSWERS[work.answer]
    follows = decide.after_answer(rules.verdict(answer), attempt=work.attempt, tries=1, tries_max=TRIES_MAX)
    claim, item = world.claims[work.key], _item(work)
    match follows:
        case decide.Finish(decide.MarkSent(message_id), settle):
            claim = rules.scripts.mark_sent(claim, item) if rules.mark_at_once else claim
            better = decide.after_mark(claim, message_id=message_id, attempt=work.attempt)
        case decide.Finish(decide.MarkDoubt(), settle):
            claim = rules.scripts.mark_doubt(claim, item)
            better = decide.after_doubt(claim, work.attempt)
        case decide.Finish(_, settle):
            claim, better = rules.scripts.release(claim, item), None
        case _:
            claim = rules.scripts.release(claim, item)
            return _claimed(world, work.key, claim), work._replace(phase="ready", answer="")
    return _claimed(world, work.key, claim), work._replace(phase="done", answer="", result=better or settle)


def _mark_recorded(world: World, rules: Rules, number: int, processor: Processor) -> tuple[str, World]:
    """Redis hears of one outcome that the ledger holds; the ledger hears if Redis knows better."""
    work, *rest = processor.marks
    assert isinstance(work.result, decide.Settle)
    attempt = work.result.attempt or work.attempt
    item, claim, better = _item(work._replace(attempt=attempt)), world.claims[work.key], None
    match work.result.outcome:
        case Outcome.SENT:
            claim = rules.scripts.record_sent(claim, item)
            better = decide.after_mark(claim, message_id=attempt, attempt=attempt)
        case Outcome.UNCERTAIN:
            claim = rules.scripts.record_doubt(claim, item)
            better = decide.after_doubt(claim, attempt)
        case _:
            claim = rules.scripts.close(claim, item)
    works = processor.works
    if better and processor.generation:
        works = (*works, work._replace(result=better))
    changed = processor._replace(marks=tuple(rest), works=works)
    return f"mark {number}/{work.offset}", _with(_claimed(world, work.key, claim), number, changed)


# ---- transactions ----


def _commits(world: World, rules: Rules, number: int, processor: Processor) -> Steps:
    mine = world.log.admits(number, processor.generation)
    if not mine and rules.owner_checked:
        yield f"refused {number}", _with(world, number, _lost(processor))
        return
    if not rules.outcomes_with_offsets and any(work.phase == "done" for work in processor.works):
        # The mutation: the offsets go first, the outcomes would follow in a transaction of their own.
        early = world._replace(log=world.log.settled(_settled(processor)), faults=max(0, world.faults - 1))
        if world.faults:
            yield f"!crash between offsets and outcomes {number}", _with(early, number, Processor())
    visible, after = _committed(world, rules, number, processor)
    yield f"commit {number}", _with(visible, number, after)
    if world.faults:
        less, again = world.faults - 1, _lost(processor)._replace(generation=processor.generation)
        # Aborted: nothing is visible and the works stay. Unknown: a new producer, everything read again.
        yield f"!aborted {number}", world._replace(faults=less)
        unseen = _polled(world, again._replace(base=world.log.committed, position=world.log.committed[0]))
        yield f"!unknown, not committed {number}", _with(world._replace(faults=less), number, unseen)
        seen = _polled(visible, again._replace(base=visible.log.committed, position=visible.log.committed[0]))
        yield f"!unknown, committed {number}", _with(visible._replace(faults=less), number, seen)


def _committed(world: World, rules: Rules, number: int, processor: Processor) -> tuple[World, Processor]:
    """Settle the last, intend the next: all of it visible together."""
    intents, ledger = list(world.intents), list(world.ledger)
    works: list[Work] = []
    marks = list(processor.marks)
    for work in processor.works:
        match work.phase:
            case "fresh":
                attempt = f"{KEYS[work.key].user_id}{len(intents[work.key])}"
                if rules.intent_first:
                    intents[work.key] = (*intents[work.key], (attempt, work.offset, work.overrides, False))
                else:
                    attempt = f"{KEYS[work.key].user_id}{number}x{world.log.generation}"
                works.append(work._replace(phase="ready", attempt=attempt))
            case "done":
                if isinstance(work.result, decide.Settle):
                    ledger[work.key] = (*ledger[work.key], _entry(work, work.result))
                    marks.append(work)
            case _:
                works.append(work)
    committed = _settled(processor)
    visible = world._replace(intents=tuple(intents), ledger=tuple(ledger), log=world.log.settled(committed))
    return visible, processor._replace(base=committed, works=tuple(works), marks=tuple(marks))


def _entry(work: Work, settle: decide.Settle) -> tuple[str, str, str, int]:
    return settle.outcome.value, settle.attempt or work.attempt, settle.message_id or "", work.offset


def _settled(processor: Processor) -> tuple[int, str]:
    window = Window(*processor.base)
    for offset in range(processor.base[0], processor.position):
        window.add(offset)
    for work in processor.works:
        if work.phase == "done":
            window.settle(work.offset)
    return window.to_commit()


def _lost(processor: Processor) -> Processor:
    """Everything of the partition is forgotten; calls in flight go on."""
    flying = tuple(work for work in processor.works if work.phase in {"calling", "air"})
    return processor._replace(generation=0, works=(), orphans=processor.orphans + flying)


# ---- the group, time, Redis, evidence ----


def _group_steps(world: World) -> Steps:
    """Whoever runs may take over from an owner who does not, or does not know that he is."""
    if world.log.owner >= 0:
        owner = world.processors[world.log.owner]
        if not owner.stalled and world.log.admits(world.log.owner, owner.generation):
            return
    for number, processor in enumerate(world.processors):
        if not processor.stalled:
            log = world.log.assigned(number)
            joined = _lost(processor)._replace(generation=log.generation, base=log.committed, position=log.committed[0])
            assigned = world._replace(log=log)
            yield f"assign {number}", _with(assigned, number, _polled(world, joined))


def _time_steps(world: World, rules: Rules) -> Steps:
    for key, claim in enumerate(world.claims):
        if claim.state is not State.SENDING:
            continue
        if not rules.lifetime_waited:
            yield f"taken over {KEYS[key]}", _claimed(world, key, rules.scripts.expired(claim))
        elif not _holds(world, claim.attempt):
            late = world._replace(late=world.late | {claim.attempt})
            yield f"lifetime ends {KEYS[key]}", _claimed(late, key, rules.scripts.expired(claim))


def _holds(world: World, attempt: str) -> bool:
    """Whether somebody who is alive and runs still works on the attempt: then it ends within its lifetime."""
    return any(
        work.attempt == attempt and work.phase in {"ready", "calling", "air"}
        for processor in world.processors
        if not processor.stalled
        for work in (*processor.works, *processor.orphans)
    )


def _redis_steps(world: World, rules: Rules) -> Steps:
    if world.whole:
        return
    if world.snapshot is None:
        known = tuple(
            _folded(rules.fold, world.ledger[key], world.intents[key] if rules.intents_rebuilt else ())
            for key in range(len(KEYS))
        )
        yield "rebuild reads", world._replace(snapshot=known)
    else:
        claims = tuple(
            rules.scripts.restore(claim, known, 0) for claim, known in zip(world.claims, world.snapshot, strict=True)
        )
        yield "rebuild ends", world._replace(claims=claims, whole=True, snapshot=None)


@lru_cache(100_000)
def _folded(fold_of: Any, ledger: tuple[Any, ...], intents: tuple[Any, ...]) -> Claim:
    fold = fold_of(SpillingMap(), SpillingMap())
    for at_ms, (outcome, attempt, message_id, offset) in enumerate(ledger):
        delivery = Delivery(
            outcome=Outcome(outcome),
            at_ms=at_ms,
            source=Source("jobs", 0, offset),
            instance="p",
            attempt=attempt or None,
            message_id=message_id or None,
        )
        fold.outcome(b"k", delivery)
    for attempt, offset, overrides, withdrawn in intents:
        leave = Resend(overrides, "policy", "silence") if overrides else None
        source = Source("jobs", 0, offset)
        intent = Attempt(
            attempt=attempt,
            intended_at_ms=0,
            instance="p",
            source=source,
            fingerprint="",
            withdrawn=withdrawn,
            resend=leave,
        )
        fold.intent(b"k", intent)
    found = dict(fold.claims()).get(b"k")
    return parse_claim(found) if found else ABSENT


def _evidence_steps(world: World, rules: Rules) -> Steps:
    if world.evidence is not None:
        key, attempt, told = world.evidence
        if not told:
            entry = (Outcome.SENT.value, attempt, attempt, -1)
            ledger = _replaced(world.ledger, key, (*world.ledger[key], entry))
            yield "evidence commits", world._replace(ledger=ledger, evidence=(key, attempt, True))
        else:
            after = world._replace(evidence=None)
            again = rules.scripts.prove(world.claims[key], Item(KEYS[key], attempt, message_id=attempt))
            after = _claimed(after, key, again)
            if rules.delete_after_commit:
                after = after._replace(events=_without(after.events, (key, attempt)))
            yield "evidence deletes", after
        if world.faults:
            yield "!evidence dies", world._replace(evidence=None, faults=world.faults - 1)
    else:
        for key, attempt in dict.fromkeys(world.events):
            before = world.claims[key]
            item = Item(KEYS[key], attempt, message_id=attempt)
            event = SesEvent("Send", KEYS[key], attempt, attempt, 0, b"")
            taken, news = _claimed(world, key, rules.scripts.prove(before, item)), rules.is_news(event, before)
            if not rules.delete_after_commit:
                taken = taken._replace(events=_without(taken.events, (key, attempt)))
            if news:
                yield f"event {attempt}", taken._replace(evidence=(key, attempt, False))
            else:
                yield f"event {attempt}", taken._replace(events=_without(taken.events, (key, attempt)))
    yield from _sweeps(world)


def _sweeps(world: World) -> Steps:
    """Evidence's look at the mails in doubt: what Redis or the ledger knows better, and what the policy sends again."""
    for key, entries in enumerate(world.ledger):
        if not entries or entries[-1][0] != Outcome.UNCERTAIN.value:
            continue
        claim, proofs = world.claims[key], [entry for entry in entries if entry[0] == Outcome.SENT.value]
        if proofs or claim.state is State.SENT:
            entry = proofs[-1] if proofs else (Outcome.SENT.value, entries[-1][1], claim.message_id, -1)
            yield f"sweep {KEYS[key]}", world._replace(ledger=_replaced(world.ledger, key, (*entries, entry)))
        elif world.resends and _silent(world, key, claim, entries[-1][1]):
            # The window is no shorter than a lifetime: whoever may still hold an attempt of the key is too late by then.
            late = world.late | {claim.attempt} | {intent[0] for intent in world.intents[key]}
            yield f"resend {KEYS[key]}", world._replace(jobs=(*world.jobs, (key, claim.attempt)), late=late)


def _silent(world: World, key: int, claim: Claim, attempt: str) -> bool:
    """The window has passed and the feed lives: no event of the key is on its way."""
    doubt = claim.state in {State.UNCERTAIN, State.UNCERTAIN_RECORDED} and claim.attempt == attempt
    on_its_way = any(event[0] == key for event in world.events) or (world.evidence or (-1,))[0] == key
    asked = (key, claim.attempt) in world.jobs
    return doubt and not on_its_way and not asked and key not in world.missed


# ---- faults ----


def _faults(world: World) -> Steps:
    for number, processor in enumerate(world.processors):
        flying = {w.key for w in (*processor.works, *processor.orphans) if w.phase in {"calling", "air"}}
        doubtful = world._replace(excused=world.excused | flying)
        yield f"!crash {number}", _with(doubtful, number, Processor())
        if not processor.stalled:
            yield f"!stall {number}", _with(doubtful, number, processor._replace(stalled=True))
        mine = world.log.admits(number, processor.generation) and not processor.stalled
        if mine and not any(work.phase in {"calling", "air"} for work in processor.works):
            yield f"!leave {number}", _left(world, number, processor)
    if world.whole:
        yield "!wipe", world._replace(claims=(ABSENT,) * len(KEYS), whole=False, snapshot=None, wiped=True)
    elif world.snapshot is not None:
        yield "!wipe", world._replace(claims=(ABSENT,) * len(KEYS), snapshot=None, wiped=True)
    for event in dict.fromkeys(world.events):
        if world.events.count(event) < 2:
            yield f"!event twice {event[1]}", world._replace(events=tuple(sorted((*world.events, event))))
        missed = world.missed | {event[0]}
        if not world.resends:
            yield f"!event lost {event[1]}", world._replace(events=_without(world.events, event), missed=missed)


def _left(world: World, number: int, processor: Processor) -> World:
    """Scaled down gracefully: settles, withdraws the intents it did not use, frees what a rebuild may have put back."""
    unused = [work for work in processor.works if work.phase == "ready"]
    kept = processor._replace(works=tuple(work for work in processor.works if work.phase == "done"))
    visible, after = _committed(world, Rules(), number, kept)
    intents, claims = list(visible.intents), list(visible.claims)
    for work in unused:
        withdrawn = (work.attempt, work.offset, work.overrides, True)
        intents[work.key] = (*intents[work.key], withdrawn)
        claims[work.key] = Scripts().release(claims[work.key], _item(work))
    gone = visible._replace(intents=tuple(intents), claims=tuple(claims), log=visible.log.left())
    return _with(gone, number, after._replace(generation=0, works=()))


# ---- what must hold ----


def violations(world: World, *, at_rest: bool) -> Iterator[str]:
    """What of the promise does not hold in this state; `at_rest` when nothing but a fault could still happen."""
    for key in {key for key, _ in world.jobs}:
        name = KEYS[key]
        took, entries = world.accepted[key], world.ledger[key]
        outcome = entries[-1][0] if entries else ""
        if len(took) > 1:
            yield f"G1 {name} accepted {len(took)} times"
        if outcome == "uncertain" and key not in world.excused and not world.wiped:
            yield f"G4 {name} in doubt, though no call was in flight at a fault"
        if at_rest:
            if not outcome:
                yield f"G2 {name} has no outcome"
            elif took and outcome != "sent" and key not in world.missed:
                yield f"G2 {name} was accepted and is {outcome}"
            elif not took and outcome == "sent":
                yield f"G2 {name} is sent and was never accepted"
    window = Window(*world.log.committed)
    for offset, (key, _) in enumerate(world.jobs):
        settled = offset < world.log.committed[0] or not window.add(offset)
        if settled and not world.ledger[key]:
            yield f"G3 offset {offset} is settled without an outcome"


# ---- small change ----


def _item(work: Work) -> Item:
    return Item(KEYS[work.key], work.attempt, 0, work.offset, work.attempt, "", work.overrides)


def _with(world: World, number: int, processor: Processor) -> World:
    return world._replace(processors=_replaced(world.processors, number, processor))


def _claimed(world: World, key: int, claim: Claim) -> World:
    return world if world.claims[key] == claim else world._replace(claims=_replaced(world.claims, key, claim))


def _replaced(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])


def canonical(world: World) -> World:
    """The same world without what makes no difference any more, whichever of the two processors is called the first."""
    log = world.log
    one, two = (_canonical(processor, log.generation) for processor in world.processors)
    held = {work.attempt for processor in (one, two) for work in (*processor.works, *processor.orphans)}
    world = world._replace(
        processors=(one, two),
        late=world.late & held,
        excused=frozenset() if world.wiped else world.excused,
        ledger=tuple(_once(entries) for entries in world.ledger),
    )
    owner = log.owner
    if one == two:
        owner = min(owner, 0)
    elif hash(one) > hash(two):
        world, owner = world._replace(processors=(two, one)), 1 - owner if owner >= 0 else -1
    return world._replace(log=log._replace(owner=owner, generation=2 if log.generation else 0))


def _canonical(processor: Processor, now: int) -> Processor:
    if not processor.generation:
        return processor._replace(base=(0, ""), position=0)
    return processor._replace(generation=2 if processor.generation == now else 1)


def _once(entries: tuple[Any, ...]) -> tuple[Any, ...]:
    """A ledger that says the same thing twice in a row says it once."""
    if len(entries) < 2:
        return entries
    return (entries[0], *(after for before, after in pairwise(entries) if after != before))


def _without(values: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    index = values.index(value) if value in values else len(values)
    return (*values[:index], *values[index + 1 :])
