"""The engine as a value: what it knows is thawed into a real `Engine`, moved by one event, and frozen again.

One partition, read to its end at once. The same state and event have the same end, so each is gone through once.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from processor.core import decide
from processor.core.batch import Batch
from processor.core.engine import Engine
from processor.core.offsets import Window
from processor.core.ticket import Attempt, Finished, Ticket
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.records import Resend

__all__ = [
    "KEYS",
    "NOTHING",
    "Committed",
    "Held",
    "Jobs",
    "Known",
    "Result",
    "assigned",
    "corrected",
    "ended",
    "forget",
    "given_back",
    "left",
    "lost",
    "orphan_ended",
    "read",
    "renounced",
    "taken",
    "told",
    "transacted",
]

KEYS = (Key("a", "2026-11"), Key("b", "2026-11"))
PARTITION = frozenset({0})
CACHED = 200_000

Jobs = tuple[tuple[int, str], ...]
"""The partition's records: (key, attempt that a resend overrides)"""
Held = tuple[int, str]
"""An attempt: (offset, id)"""
Result = decide.Settle | decide.Skip


class Known(NamedTuple):
    """All that an engine knows, times and what was said apart."""

    window: tuple[int, int] | None = None
    """committed offset and the next to read; none: the partition is not ours"""
    settled: frozenset[int] = frozenset()
    """offsets from the committed one on"""
    changed: bool = False
    lines: tuple[tuple[int, ...], ...] = ()
    """each key's offsets, the first of them on its way"""
    superseded: frozenset[int] = frozenset()
    fresh: tuple[int, ...] = ()
    ready: tuple[Held, ...] = ()
    ended: tuple[tuple[Held, Result], ...] = ()
    renounced: tuple[Held, ...] = ()
    facts: tuple[tuple[Held, Result], ...] = ()
    """accepted of partitions that have left: the ledger is to hold it"""


class Committed(NamedTuple):
    """What a transaction holds, and what the engine knows when it has committed or aborted."""

    finished: tuple[tuple[Held, Result], ...]
    intended: tuple[Held, ...]
    withdrawn: tuple[Held, ...]
    offset: tuple[int, str] | None
    after: Known
    aborted: Known


NOTHING = Known()


class _Thawed:
    """An engine that knows this; tickets by offset."""

    def __init__(self, known: Known, jobs: Jobs) -> None:
        self.engine = Engine()
        self._jobs = jobs
        self._tickets: dict[int, Ticket] = {}
        self._gone = Window(0)
        self._gone.closed = True
        self.window = self._gone
        self.engine.batches._facts = [Finished(self.gone(held), result) for held, result in known.facts]
        if known.window is None:
            return
        committed, following = known.window
        self.window = self.engine.assigned._windows[0] = Window(committed)
        for offset in range(committed, following):
            self.window.add(offset)
        for offset in known.settled:
            self.window.settle(offset)
        self.window._changed = known.changed
        order = self.engine._order
        for first, *waiting in known.lines:
            key = self.ticket(first).record.key
            assert key is not None
            order._first[key] = self.ticket(first)
            if waiting:
                order._waiting[key] = [self.ticket(offset) for offset in waiting]
        order._superseded.update(self.ticket(offset) for offset in known.superseded)
        for offset in known.fresh:
            self.engine.batches.add_fresh(self.ticket(offset))
        self.engine.due.submit(self.attempt(held) for held in known.ready)
        self.engine.batches._renounced = [self.attempt(held) for held in known.renounced]
        for held, result in known.ended:
            self.engine.batches.add_ended(Finished(self.attempt(held), result))

    def ticket(self, offset: int) -> Ticket:
        if (found := self._tickets.get(offset)) is None:
            found = self._tickets[offset] = self._made(offset, self.window)
        return found

    def _made(self, offset: int, window: Window) -> Ticket:
        key, overrides = self._jobs[offset]
        leave = Resend(overrides, "policy", "silence") if overrides else None
        return Ticket(Record(0, offset, KEYS[key].to_bytes(), b"{}", [], 0), window, KEYS[key], resend=leave)

    def attempt(self, held: Held) -> Attempt:
        return Attempt(self.ticket(held[0]), held[1])

    def gone(self, held: Held) -> Attempt:
        """One of a former life of the partition."""
        return Attempt(self._made(held[0], self._gone), held[1])

    def read(self) -> None:
        """To the partition's end."""
        for offset in range(self.window._next, len(self._jobs)):
            if self.window.add(offset):
                self.engine.accept(self.ticket(offset))

    def frozen(self) -> Known:
        engine = self.engine
        window = engine.assigned.get(0)
        facts = tuple((_held([one.attempt])[0], one.result) for one in engine.batches.facts)
        if window is None:
            return NOTHING._replace(facts=facts)
        order = engine._order
        lines = (
            (first.record.offset, *(ticket.record.offset for ticket in order._waiting.get(key, ())))
            for key, first in order._first.items()
        )
        settled = range(window._committed, window._next)
        pending = {offset for offset in window._pending if offset not in window._settled}
        return Known(
            window=(window._committed, window._next),
            settled=frozenset(offset for offset in settled if offset not in pending),
            changed=window._changed,
            lines=tuple(sorted(lines)),
            superseded=frozenset(ticket.record.offset for ticket in order._superseded),
            fresh=tuple(attempt.ticket.record.offset for attempt in engine.batches._waiting.fresh),
            ready=_held(engine.due._ready),
            ended=_results(engine.batches._ended),
            renounced=_held(one for one in engine.batches._renounced if not one.ticket.window.closed),
            facts=facts,
        )


def _held(attempts: Iterable[Attempt]) -> tuple[Held, ...]:
    return tuple((attempt.ticket.record.offset, attempt.id) for attempt in attempts)


def _results(finished: Iterable[Finished]) -> tuple[tuple[Held, Result], ...]:
    """Without those of a former life, which the next batch would leave out."""
    ours = [one for one in finished if not one.attempt.ticket.window.closed]
    return tuple((_held([one.attempt])[0], one.result) for one in ours)


# ---- events ----


@lru_cache(CACHED)
def read(known: Known, jobs: Jobs) -> Known:
    thawed = _Thawed(known, jobs)
    thawed.read()
    return thawed.frozen()


@lru_cache(CACHED)
def lost(known: Known, jobs: Jobs) -> tuple[Known, tuple[Held, ...]]:
    """What is still known; and the attempts that never start, or were certainly not sent and are not recorded here."""
    thawed = _Thawed(known, jobs)
    dropped = thawed.engine.lost(PARTITION)
    unsent = [one.attempt for one in thawed.engine.batches.forget_ended() if one.not_sent]
    return thawed.frozen(), _held([*dropped, *unsent])


@lru_cache(CACHED)
def orphan_ended(known: Known, jobs: Jobs, held: Held, result: Result) -> Known:
    """A call of a former life of the partition has ended."""
    thawed = _Thawed(known, jobs)
    thawed.engine.end(Finished(thawed.gone(held), result))
    thawed.engine.batches.forget_ended()
    return thawed.frozen()


@lru_cache(CACHED)
def told(known: Known, jobs: Jobs) -> Known:
    """The ledger holds the facts."""
    thawed = _Thawed(known, jobs)
    thawed.engine.batches.told(thawed.engine.batches.facts)
    return thawed.frozen()


@lru_cache(CACHED)
def assigned(jobs: Jobs, committed: tuple[int, str], facts: tuple[tuple[Held, Result], ...] = ()) -> Known:
    """The partition came to an engine that knew nothing else, and was read."""
    thawed = _Thawed(NOTHING._replace(facts=facts), jobs)
    thawed.engine.assign({0: committed})
    thawed.engine.newest.forget(PARTITION)  # it is read to its end here and now
    window = thawed.engine.assigned.get(0)
    assert window is not None
    thawed.window = window
    thawed.read()
    return thawed.frozen()


@lru_cache(CACHED)
def transacted(known: Known, jobs: Jobs, attempts: tuple[str, ...]) -> Committed:
    """Settle the last, intend the next under these attempts."""
    thawed, other = _Thawed(known, jobs), _Thawed(known, jobs)
    batch = thawed.engine.next(len(jobs), iter(attempts).__next__)
    thawed.engine.committed(batch)
    other.engine.aborted(other.engine.next(len(jobs), iter(attempts).__next__))
    return _told(batch, thawed.frozen(), other.frozen())


@lru_cache(CACHED)
def left(known: Known, jobs: Jobs) -> Committed:
    """The partition leaves gracefully."""
    thawed = _Thawed(known, jobs)
    dropped = thawed.engine.due.drop(lambda _ticket: True)
    batch = thawed.engine.leave(PARTITION, dropped)
    told = _told(batch, NOTHING, NOTHING)
    assert thawed.engine.left() is batch
    thawed.engine.batches.forget_ended()
    return told._replace(after=thawed.frozen())


@lru_cache(CACHED)
def taken(known: Known, jobs: Jobs, number: int) -> tuple[Known, Held | None]:
    """The ready attempt of this number, for a claim; none when it ended without one. Those before it stay in front."""
    thawed = _Thawed(known, jobs)
    wanted = known.ready[number]
    attempts = thawed.engine.take(number + 1)
    thawed.engine.due.put_back([attempt for attempt in attempts if _held([attempt])[0] != wanted])
    found = wanted if wanted in _held(attempts) else None
    return thawed.frozen(), found


@lru_cache(CACHED)
def ended(known: Known, jobs: Jobs, held: Held, result: Result) -> Known:
    thawed = _Thawed(known, jobs)
    thawed.engine.end(Finished(thawed.attempt(held), result))
    return thawed.frozen()


@lru_cache(CACHED)
def renounced(known: Known, jobs: Jobs, held: Held) -> Known:
    """It was taken, and its key is held for it among others."""
    thawed = _Thawed(known, jobs)
    thawed.engine.starts.renounce_one(thawed.attempt(held))
    return thawed.frozen()


@lru_cache(CACHED)
def given_back(known: Known, jobs: Jobs, held: Held) -> Known:
    thawed = _Thawed(known, jobs)
    thawed.engine.due.put_back([thawed.attempt(held)])
    return thawed.frozen()


@lru_cache(CACHED)
def corrected(known: Known, jobs: Jobs, held: Held, result: Result) -> Known:
    thawed = _Thawed(known, jobs)
    thawed.engine.correct([Finished(thawed.attempt(held), result)])
    return thawed.frozen()


_EVENTS = (
    *(read, lost, orphan_ended, told, assigned, transacted, left),
    *(taken, ended, renounced, given_back, corrected),
)


def forget() -> None:
    """The engine is another one from now on."""
    for event in _EVENTS:
        event.cache_clear()


def _told(batch: Batch, after: Known, aborted: Known) -> Committed:
    return Committed(
        _results(batch.finished), _held(batch.intended), _held(batch.withdrawn), batch.offsets.get(0), after, aborted
    )
