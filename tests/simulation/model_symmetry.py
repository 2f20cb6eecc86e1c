"""Worlds that differ in nothing that matters, as one: `canonical`.

What makes no difference is taken away: old generations, the order in which things of different users wait, how an
engine came to know what is settled. Then the two processors change places, and, where each of two users has one job and
nobody treats them differently, so do the users with their offsets; one of the images stands for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from processor.core import decide
from processor.core.claims import Folded
from processor.core.offsets import Window
from processor.core.states import Claim, parse_claim
from schemas.records import Outcome
from tests.simulation.log import Partition
from tests.simulation.machine import Held, Jobs, Known, Result
from tests.simulation.model_processor import attempts_of
from tests.simulation.model_world import Call, Note, Processor, World

__all__ = ["canonical", "interchangeable", "swapped"]

T = TypeVar("T")

CACHED = 200_000
TWO_USERS: Jobs = ((0, ""), (1, ""))
_ATTEMPT = re.compile(r"\b([ab])(?=\d)")


def canonical(world: World) -> World:
    """The one that stands for all that are like this world."""
    one = _with_processors(_tidy(world))
    if not interchangeable(world):
        return one
    two = _with_processors(_tidy(swapped(one)))
    return one if hash(one) <= hash(two) else two


def interchangeable(world: World) -> bool:
    """Whether both users have one job each, and may change places."""
    return world.jobs == TWO_USERS and world.rejects < 0 and not world.resends and not world.again


def _tidy(world: World) -> World:
    """Without what makes no difference any more."""
    one, two = (_tidied(processor, world.jobs, world.log.generation) for processor in world.processors)
    held = {attempt for processor in (one, two) for attempt in attempts_of(processor)}
    return world._replace(
        processors=(one, two),
        late=world.late & held,
        excused=frozenset() if world.wiped else world.excused,
        untold=frozenset(key for key in world.untold if _may_stay_untold(world, key)),
        ledger=tuple(_once(entries) for entries in world.ledger),
    )


def _may_stay_untold(world: World, key: int) -> bool:
    """Whether SES accepted it and the ledger may never hear of it: its event is lost, or may be yet."""
    heard = any(entry[0] == Outcome.SENT for entry in world.ledger[key])
    lost = key in world.missed or (world.faults > 0 and any(event[0] == key for event in world.events))
    return bool(world.accepted[key]) and lost and not heard


def _with_processors(world: World) -> World:
    """Whichever of the two processors is called the first."""
    one, two = world.processors
    log, owner = world.log, world.log.owner
    if one == two:
        owner = min(owner, 0)
    elif hash(one) > hash(two):
        world, owner = world._replace(processors=(two, one)), 1 - owner if owner >= 0 else -1
    return world._replace(log=log._replace(owner=owner, generation=2 if log.generation else 0))


@lru_cache(CACHED)
def _tidied(processor: Processor, jobs: Jobs, now: int) -> Processor:
    generation = processor.generation and (2 if processor.generation == now else 1)
    return processor._replace(
        generation=generation,
        known=_sorted_known(processor.known, jobs),
        calls=tuple(sorted(processor.calls)),
        orphans=tuple(sorted(processor.orphans)),
        notes=tuple(sorted(processor.notes, key=lambda note: (note.held, note.ours, note.result.outcome))),
        freeing=_by_user(processor.freeing, jobs, _held),
    )


def _sorted_known(known: Known, jobs: Jobs) -> Known:
    """Things of different users in the users' order: between two events nothing hangs on it."""
    if known.window is not None:
        committed, following = known.window
        settled = {*range(committed), *known.settled}
        prefix = _prefix(settled)
        known = known._replace(
            window=(prefix, max(prefix, following)),
            settled=frozenset(offset for offset in settled if offset >= prefix),
            changed=known.changed or prefix > committed,
        )
    return known._replace(
        fresh=tuple(sorted(known.fresh, key=lambda offset: jobs[offset][0])),
        ready=_by_user(known.ready, jobs, _held),
        ended=_by_user(known.ended, jobs, _held_first),
        renounced=_by_user(known.renounced, jobs, _held),
        facts=_by_user(known.facts, jobs, _held_first),
    )


def _held(one: Held) -> int:
    return one[0]


def _held_first(one: tuple[Held, Result]) -> int:
    return one[0][0]


def _by_user(things: Iterable[T], jobs: Jobs, offset_of: Callable[[T], int]) -> tuple[T, ...]:
    return tuple(sorted(things, key=lambda thing: jobs[offset_of(thing)][0]))


def _prefix(settled: set[int]) -> int:
    prefix = 0
    while prefix in settled:
        prefix += 1
    return prefix


def _once(entries: tuple[Any, ...]) -> tuple[Any, ...]:
    """A ledger that says the same thing twice in a row says it once."""
    if len(entries) < 2:
        return entries
    return (entries[0], *(after for before, after in pairwise(entries) if after != before))


# ---- the users change places ----


def swapped(world: World) -> World:
    """The same with the first user as the second, their offsets likewise."""
    snapshot = world.snapshot
    return world._replace(
        claims=_swapped_pair(world.claims, _claim),
        snapshot=None if snapshot is None else _swapped_pair(snapshot, _folded),
        intents=_swapped_pair(world.intents, _intents),
        ledger=_swapped_pair(world.ledger, _entries),
        log=world.log._replace(committed=_committed(world.log)),
        processors=tuple(_processor(processor) for processor in world.processors),
        accepted=_swapped_pair(world.accepted, lambda attempts: tuple(map(_text, attempts))),
        late=frozenset(map(_text, world.late)),
        events=tuple(sorted((1 - key, _text(attempt)) for key, attempt in world.events)),
        evidence=world.evidence and (1 - world.evidence[0], _text(world.evidence[1]), world.evidence[2]),
        excused=_keys(world.excused),
        missed=_keys(world.missed),
        untold=_keys(world.untold),
    )


def _swapped_pair(pair: tuple[T, ...], swap: Callable[[T], T]) -> tuple[T, ...]:
    one, two = pair
    return swap(two), swap(one)


@lru_cache(CACHED)
def _text(text: str) -> str:
    """Attempts are named for their users."""
    return _ATTEMPT.sub(lambda found: "b" if found[1] == "a" else "a", text)


def _keys(keys: frozenset[int]) -> frozenset[int]:
    return frozenset(1 - key for key in keys)


def _offset(offset: int) -> int:
    return 1 - offset if offset >= 0 else offset


@lru_cache(CACHED)
def _claim(claim: Claim) -> Claim:
    return msgspec.structs.replace(
        claim, attempt=_text(claim.attempt), message_id=_text(claim.message_id), offset=_offset(claim.offset)
    )


@lru_cache(CACHED)
def _folded(folded: Folded) -> Folded:
    partition, offset = folded.place
    claim = _claim(parse_claim(folded.claim)).to_text()
    return folded._replace(claim=claim, place=(partition, _offset(offset)), ended=_text(folded.ended))


@lru_cache(CACHED)
def _intents(intents: tuple[tuple[str, int, str, bool], ...]) -> tuple[tuple[str, int, str, bool], ...]:
    return tuple((_text(attempt), _offset(offset), _text(over), gone) for attempt, offset, over, gone in intents)


@lru_cache(CACHED)
def _entries(entries: tuple[tuple[str, str, str, int], ...]) -> tuple[tuple[str, str, str, int], ...]:
    return tuple((outcome, _text(attempt), _text(mail), _offset(offset)) for outcome, attempt, mail, offset in entries)


def _committed(log: Partition) -> tuple[int, str]:
    window = Window(*log.committed)
    settled = {_offset(offset) for offset in range(len(TWO_USERS)) if window.is_settled(offset)}
    other = Window(0)
    for offset in range(len(TWO_USERS)):
        other.add(offset)
    for offset in settled:
        other.settle(offset)
    return other.to_commit() if settled else (0, "")


@lru_cache(CACHED)
def _processor(processor: Processor) -> Processor:
    return processor._replace(
        known=_known(processor.known),
        calls=tuple(map(_call, processor.calls)),
        orphans=tuple(map(_call, processor.orphans)),
        notes=tuple(Note(_swapped_held(note.held), _result(note.result), note.ours) for note in processor.notes),
        freeing=tuple(map(_swapped_held, processor.freeing)),
    )


def _known(known: Known) -> Known:
    window = known.window
    if window is not None:
        settled = {_offset(offset) for offset in {*range(window[0]), *known.settled}}
        window = (_prefix(settled), window[1])
        known = known._replace(settled=frozenset(offset for offset in settled if offset >= window[0]))
    return known._replace(
        window=window,
        lines=tuple(sorted(tuple(map(_offset, line)) for line in known.lines)),
        superseded=frozenset(map(_offset, known.superseded)),
        fresh=tuple(map(_offset, known.fresh)),
        ready=tuple(map(_swapped_held, known.ready)),
        ended=tuple((_swapped_held(held), _result(result)) for held, result in known.ended),
        renounced=tuple(map(_swapped_held, known.renounced)),
        facts=tuple((_swapped_held(held), _result(result)) for held, result in known.facts),
    )


def _call(call: Call) -> Call:
    return call._replace(
        offset=_offset(call.offset), key=1 - call.key, overrides=_text(call.overrides), attempt=_text(call.attempt)
    )


def _swapped_held(held: Held) -> Held:
    return _offset(held[0]), _text(held[1])


def _result(result: Any) -> Any:
    if not isinstance(result, decide.Settle):
        return result
    attempt, message_id = (text and _text(text) for text in (result.attempt, result.message_id))
    return msgspec.structs.replace(result, attempt=attempt, message_id=message_id)
