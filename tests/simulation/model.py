"""Two processors, two jobs and the world around them as one immutable state, and every step that can follow from it.

What a processor knows and decides is the product's own: its engine (`processor.core.engine`), frozen between two steps,
and the decisions of `processor.core`. Only what drives it is modelled (`model_processor`), and the world: Kafka as a log
with an owner, Redis as two claims, SES as the list of what it accepted, the event feed as a bag. Time passes where it
may: a lifetime ends only for an attempt whose holder is dead or stands still.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from processor.core.claims import Folded, Intent
from processor.core.offsets import Window
from processor.core.standing import Entry
from processor.core.states import ABSENT, State, parse_claim
from schemas.records import Delivery, Outcome, Source
from tests.simulation.machine import KEYS
from tests.simulation.model_feed import evidence_steps
from tests.simulation.model_processor import assigned, attempts_of, left, processor_steps, untold_by
from tests.simulation.model_symmetry import canonical
from tests.simulation.model_world import Processor, Rules, Steps, World, claimed, first_world, with_processor, without

__all__ = ["KEYS", "Rules", "World", "canonical", "first_world", "steps", "violations"]


def steps(world: World, rules: Rules) -> Steps:
    """Every step that may come next; a name that begins with ``!`` is a fault."""
    for number, processor in enumerate(world.processors):
        if processor.stalled:
            yield f"continue {number}", with_processor(world, number, processor._replace(stalled=False))
        else:
            yield from processor_steps(world, rules, number)
    yield from _group_steps(world, rules)
    yield from _time_steps(world, rules)
    yield from _redis_steps(world, rules)
    yield from evidence_steps(world, rules)
    if world.again:
        yield "published again", world._replace(jobs=(*world.jobs, (0, "")), again=False)
    if world.faults:
        yield from _faults(world._replace(faults=world.faults - 1), rules)


# ---- the group, time, Redis ----


def _group_steps(world: World, rules: Rules) -> Steps:
    """Whoever runs may take over from an owner who does not, or does not know that he is."""
    if world.log.owner >= 0:
        owner = world.processors[world.log.owner]
        if not owner.stalled and world.log.admits(world.log.owner, owner.generation):
            return
    for number, processor in enumerate(world.processors):
        if not processor.stalled:
            log = world.log.assigned(number)
            yield f"assign {number}", assigned(world._replace(log=log), rules, number, log.generation)


def _time_steps(world: World, rules: Rules) -> Steps:
    for key, claim in enumerate(world.claims):
        if claim.state is State.BARRED and claim.since_ms and not _may_settle(world, claim.attempt):
            yield f"bar's time is over {KEYS[key]}", claimed(world, key, rules.scripts.expired(claim))
        if claim.state is not State.SENDING:
            continue
        if not rules.lifetime_waited:
            yield f"taken over {KEYS[key]}", claimed(world, key, rules.scripts.expired(claim))
        elif not _holds(world, claim.attempt):
            late = world._replace(late=world.late | {claim.attempt})
            yield f"lifetime ends {KEYS[key]}", claimed(late, key, rules.scripts.expired(claim))


def _holds(world: World, attempt: str) -> bool:
    """Whether somebody who is alive and runs still works on the attempt: then it ends within its lifetime."""
    return any(attempt in attempts_of(processor) for processor in world.processors if not processor.stalled)


def _may_settle(world: World, attempt: str) -> bool:
    """Whether somebody holds the attempt's outcome and Kafka would take it: a bar outlasts whatever may delay that."""
    return any(
        attempt == held[1] and world.log.admits(number, processor.generation)
        for number, processor in enumerate(world.processors)
        for held, _ in processor.known.ended
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
            rules.scripts.restore(claim, parse_claim(known.claim), known.place, known.ended, 0)
            for claim, known in zip(world.claims, world.snapshot, strict=True)
        )
        yield "rebuild ends", world._replace(claims=claims, whole=True, snapshot=None)


@lru_cache(100_000)
def _folded(fold: Any, ledger: tuple[Any, ...], intents: tuple[Any, ...]) -> Folded:
    entries = []
    for at_ms, (outcome, attempt, message_id, offset) in enumerate(ledger):
        delivery = Delivery(
            outcome=Outcome(outcome),
            at_ms=at_ms,
            source=Source("jobs", 0, offset),
            instance="p",
            attempt=attempt or None,
            message_id=message_id or None,
        )
        entries.append((0, Entry.of(delivery, 0)))
    opened = [
        (0, Intent(attempt, 0, offset, overrides, withdrawn)) for attempt, offset, overrides, withdrawn in intents
    ]
    return fold(entries, opened) or Folded("")


# ---- faults ----


def _faults(world: World, rules: Rules) -> Steps:
    for number, processor in enumerate(world.processors):
        flying = {call.key for call in (*processor.calls, *processor.orphans)}
        doubtful = world._replace(excused=world.excused | flying)
        silent = doubtful._replace(untold=world.untold | untold_by(processor, world.jobs))
        yield f"!crash {number}", with_processor(silent, number, Processor())
        if not processor.stalled:
            yield f"!stall {number}", with_processor(doubtful, number, processor._replace(stalled=True))
        mine = world.log.admits(number, processor.generation) and not processor.stalled
        if mine and not processor.calls:
            yield f"!leave {number}", left(world, rules, number)
    if world.whole:
        yield "!wipe", world._replace(claims=(ABSENT,) * len(KEYS), whole=False, snapshot=None, wiped=True)
    elif world.snapshot is not None:
        yield "!wipe", world._replace(claims=(ABSENT,) * len(KEYS), snapshot=None, wiped=True)
    for event in dict.fromkeys(world.events):
        if world.events.count(event) < 2:
            yield f"!event twice {event[1]}", world._replace(events=tuple(sorted((*world.events, event))))
        missed = world.missed | {event[0]}
        if not world.resends:
            yield f"!event lost {event[1]}", world._replace(events=without(world.events, event), missed=missed)


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
            elif took and outcome != "sent" and not (key in world.missed and key in world.untold):
                yield f"G2 {name} was accepted and is {outcome}"
            elif not took and outcome == "sent":
                yield f"G2 {name} is sent and was never accepted"
    window = Window(*world.log.committed)
    for offset, (key, _) in enumerate(world.jobs):
        settled = offset < world.log.committed[0] or not window.add(offset)
        newer = any(later == key for later, _ in world.jobs[offset + 1 :])
        if settled and not newer and not world.ledger[key]:
            yield f"G3 offset {offset} is settled without an outcome"
