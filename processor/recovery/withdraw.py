"""Settles what processes have left behind that call no more: their intents are withdrawn, or get their outcome.

Whoever moves the checkpoint does it, for that would stand still behind such an intent. `processor.core.withdraw` has
the law, and why its order is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

from msgspec.structs import replace

from processor.adapters.redis import RedisDedup
from processor.core.window import News, Open, Window
from processor.core.withdraw import Follows, SentTold, UncertainTold, Withdrawn, after_silence, sent, uncertain
from processor.ports import Clock, Item, NotWhole, Produced
from processor.shell.control import ControlFollower
from schemas.codec import decode_attempt, encode
from schemas.identity import Key
from schemas.kafka.reading import RecordReader
from schemas.records import Attempt
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import BadRecord
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["Withdrawals", "Writer"]

log = get_log()

AT_ONCE = 1000
"""More wait for the next look."""

Settled = tuple[Key, Follows, list[tuple[Open, Attempt]]]
"""a key, what follows for it, and its open intents as they stand in the topic"""


class Writer(Protocol):
    """Writes records in one transaction. Blocks; raises `BrokerUnavailable`: the same again does no harm."""

    def write(self, records: Sequence[Produced]) -> None: ...


class Withdrawals:
    """Of one process that follows ledger and attempts."""

    def __init__(
        self,
        settings: Settings,
        dedup: RedisDedup,
        follower: ControlFollower,
        clock: Clock,
        writer: Writer,
        instance: str,
    ) -> None:
        self._settings = settings
        self._dedup = dedup
        self._follower = follower
        self._clock = clock
        self._writer = writer
        self._instance = instance

    async def look(self, window: Window, moves: int, lineage: str) -> None:
        """Settles what is left behind among the window's open intents; the topics tell of it by the next look.

        Raises what its ports raise.
        """
        left = self._left_behind(window)[:AT_ONCE]
        if not left:
            return
        by_key = {key: list(ones) for key, ones in groupby(left, key=lambda one: one.key)}
        follows = await self._follows(by_key, moves, lineage)
        wanted = [one for key in follows for one in by_key[key]]
        found = await in_thread(_attempts_of, self._settings, [one.intent.at for one in wanted])
        window.forget([one for one, attempt in zip(wanted, found, strict=True) if attempt is None])
        known = {one.intent.at: attempt for one, attempt in zip(wanted, found, strict=True) if attempt is not None}
        settled = [
            (key, step, [(one, known[one.intent.at]) for one in by_key[key] if one.intent.at in known])
            for key, step in follows.items()
        ]
        await self._tell([one for one in settled if one[2]])

    def _left_behind(self, window: Window) -> list[Open]:
        """First: intents whose processes were seen to have lapsed or ended since the intents were known here."""
        lapses, me = self._follower.control.lapses, self._follower.process
        return [
            one
            for one in window.open
            if one.intent.process not in {"", me} and lapses.never_calls(one.intent.process, one.known_s)
        ]

    async def _follows(self, by_key: dict[Key, list[Open]], moves: int, lineage: str) -> dict[Key, Follows]:
        """Then: what the whole set of the newest lineage knows of them, asked for only now."""
        if self._follower.control.newest != lineage:
            raise NotWhole("a newer lineage was begun")
        moved, claims = await self._dedup.follow([News(key) for key in by_key], moves, lineage, None, True)
        if moved != moves:
            raise NotWhole("another process follows")
        steps = {
            key: after_silence(claim, [one.intent for one in by_key[key]])
            for key, claim in zip(by_key, claims, strict=True)
        }
        return {key: step for key, step in steps.items() if step is not None}

    async def _tell(self, settled: Sequence[Settled]) -> None:
        """Then: the topics are told, and of outcomes the set."""
        records = [record for one in settled for record in self._records(one)]
        if not records:
            return
        await in_thread(self._writer.write, records)
        facts = [Item(key, fingerprint=s.claim.fingerprint) for key, s, _ in settled if isinstance(s, SentTold)]
        await self._dedup.record_sent(facts)
        unsure = [Item(key, attempt=s.claim.attempt) for key, s, _ in settled if isinstance(s, UncertainTold)]
        await self._dedup.record_uncertain(unsure)
        withdrawn = sum(isinstance(step, Withdrawn) for _, step, _ in settled)
        log.info(Event.LEFT_BEHIND, withdrawn=withdrawn, sent=len(facts), uncertain=len(unsure))

    def _records(self, one: Settled) -> list[Produced]:
        key, step, known = one
        topics, now_ms, raw = self._settings.topics, self._clock.now_ms(), key.to_bytes()
        first, attempt = known[0]
        partition = first.intent.at[0]
        match step:
            case SentTold(claim):
                entry = sent(claim, attempt.source, self._instance, now_ms)
                return [Produced(topics.deliveries, partition, raw, encode(entry))]
            case UncertainTold(claim):
                named = next((a for _, a in known if a.attempt == claim.attempt), attempt)
                entry = uncertain(claim, named, self._instance, now_ms)
                return [Produced(topics.deliveries, partition, raw, encode(entry))]
            case Withdrawn(intents):
                return [
                    Produced(topics.attempts, open_.intent.at[0], raw, encode(replace(told, withdrawn=True)))
                    for open_, told in known
                    if open_.intent in intents
                ]


def _attempts_of(settings: Settings, places: Sequence[tuple[int, int]]) -> list[Attempt | None]:
    """Intents by their places; ``None`` for what does not stand there any more. Blocks; raises `BrokerUnavailable`."""
    reader = RecordReader(settings, settings.topics.attempts)
    try:
        found = [reader.get(*place) for place in places]
    finally:
        reader.close()
    return [None if record is None else _attempt(record.value) for record in found]


def _attempt(value: bytes | None) -> Attempt | None:
    try:
        return decode_attempt(value) if value is not None else None
    except BadRecord:
        return None
