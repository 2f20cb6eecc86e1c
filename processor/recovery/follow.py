"""Follows ledger and attempts: what they say goes into the dedup set, and then the set's checkpoint moves.

One process follows for all. Its scripts change nothing but in the set that is whole under the lineage that it began
under, on the server that was made whole then; so a checkpoint never moves in a set that lacks what was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from processor.adapters.ends import ends_of
from processor.adapters.redis import RedisDedup
from processor.core.adoption import is_nowhere
from processor.core.checkpoint import Checkpoint, End, Ends, why_void
from processor.core.states import Claim
from processor.core.window import KeyRows, News, Window
from processor.ports import Clock, NotWhole
from processor.recovery.rebuild import entry_of, left_of
from processor.recovery.withdraw import Withdrawals
from processor.shell.control import ControlFollower
from schemas.identity import Key
from schemas.kafka.reading import Record, read_topic
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import BadRecord, BrokerUnavailable, RedisUnavailable, RedisUntrusted
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["CheckpointFollower"]

log = get_log()

EVERY_S = 3.0
"""What a rebuild has to read again is what came in this time."""
TTL_S = 15.0
"""Who has not come back for so long is followed by another."""
CHUNK = 1000
TOGETHER_MAX = 50_000
"""So many offsets are read together; more are read partition by partition, to spare memory."""


class CheckpointFollower:
    """Runs beside a processor, from its start to its end."""

    def __init__(
        self,
        settings: Settings,
        dedup: RedisDedup,
        follower: ControlFollower,
        clock: Clock,
        withdrawals: Withdrawals,
    ) -> None:
        self._settings = settings
        self._withdrawals = withdrawals
        self._dedup = dedup
        self._follower = follower
        self._clock = clock
        self._window: Window | None = None
        self._moves = 0
        self._lineage = ""

    async def run(self) -> None:
        """Until it is ended."""
        while True:
            await self._clock.sleep(EVERY_S)
            try:
                await self.look()
            except (NotWhole, RedisUnavailable, RedisUntrusted, BrokerUnavailable):
                # Nobody waits for this: another look begins at the checkpoint that the set has then.
                self._window = None

    async def look(self) -> None:
        """Applies what came since the last look, and moves the checkpoint. Raises what its ports raise."""
        control = self._follower.control
        found = await self._dedup.follows(self._follower.process, control.newest, TTL_S) if control.newest else None
        if found is None or control.broken:
            self._window = None
            return
        if self._window is None or (self._moves, self._lineage) != (found.moves, control.newest):
            self._window, self._moves, self._lineage = Window(found.checkpoint), found.moves, control.newest
        ends = await in_thread(ends_of, self._settings, self._window.read)
        if why := why_void(self._window.read, ends):
            log.warning(Event.BEGINS_ANEW, topic=self._settings.topics.deliveries, why=why)
            self._window = None
            return
        if Checkpoint.at(ends) != self._window.read:
            await self._follow(self._window, found.checkpoint, ends)
        if self._window is not None:
            await self._withdrawals.look(self._window, self._moves, self._lineage)

    async def _follow(self, window: Window, stands: Checkpoint, ends: Ends) -> None:
        for some in portions(window.read, ends):
            rows = await in_thread(read_rows, self._settings, window.read, some)
            claims: dict[Key, Claim] = {}
            news = window.take(rows)
            for first in range(0, len(news), CHUNK):
                some_news = news[first : first + CHUNK]
                chunk = [one._replace(claim="") if self._is_void(one) else one for one in some_news]
                moves, after = await self._dedup.follow(chunk, self._moves, self._lineage)
                if moves < 0:
                    raise NotWhole("another process follows")
                claims |= {one.key: claim for one, claim in zip(chunk, after, strict=True)}
            floor = self._follower.control.closed_before
            checkpoint = window.applied(claims, some, self._clock.boot_s(), floor)
        if checkpoint != stands:
            moves, _ = await self._dedup.follow([], self._moves, self._lineage, checkpoint)
            self._moves = moves
            if moves < 0:
                self._window = None

    def _is_void(self, one: News) -> bool:
        """Places of other topics mean nothing here, and of a closed month nothing is kept."""
        return is_nowhere(one.claim) or one.key.month < self._follower.control.closed_before


def portions(since: Checkpoint, ends: Ends) -> Iterator[Ends]:
    """Ends to be reached one after the other: each partition's by itself where there is much to read."""
    starts = (since.ledger.starts, since.attempts.starts)
    left = sum(end.end - starts[0].get(number, 0) for number, end in ends.ledger.items())
    left += sum(end.end - starts[1].get(number, 0) for number, end in ends.attempts.items())
    if left > TOGETHER_MAX:
        ledger = {number: End(place.offset, place.epoch) for number, place in since.ledger.places.items()}
        attempts = {number: End(place.offset, place.epoch) for number, place in since.attempts.places.items()}
        for number in sorted({*ends.ledger, *ends.attempts}):
            ledger = {**ledger, number: ends.ledger.get(number, End(0))}
            attempts = {**attempts, number: ends.attempts.get(number, End(0))}
            yield Ends(ends.ledger_id, ledger, ends.attempts_id, attempts)
    yield ends


def read_rows(settings: Settings, since: Checkpoint, ends: Ends) -> dict[Key, KeyRows]:
    """What stands between both, by key. Blocks; raises `BrokerUnavailable`."""
    rows: dict[Key, KeyRows] = {}
    topics = settings.topics
    for record in _between(settings, topics.deliveries, since.ledger.starts, ends.ledger):
        with suppress(BadRecord):  # a rebuild tells of those
            entry = None if record.value is None else entry_of(record, record.value)
            _of(rows, record).entries.append((record.partition, entry))
    for record in _between(settings, topics.attempts, since.attempts.starts, ends.attempts):
        with suppress(BadRecord):
            intent = None if record.value is None else left_of(record, record.value)
            _of(rows, record).intents.append((record.partition, intent))
    return rows


def _between(settings: Settings, topic: str, starts: Mapping[int, int], ends: Mapping[int, End]) -> Iterator[Record]:
    """Up to these ends, not a record more: what comes later is read again, with all that belongs to it."""
    news = [number for number, end in ends.items() if starts.get(number, 0) < end.end]
    for record in read_topic(settings, topic, news, starts) if news else ():
        if record.offset < ends[record.partition].end:
            yield record


def _of(rows: dict[Key, KeyRows], record: Record) -> KeyRows:
    """Raises `BadRecord`."""
    return rows.setdefault(Key.from_bytes(record.key), KeyRows([], []))
