"""One person's data removed as far as it can be, and what remains said with its reason.

First the addresses and the mails' data: jobs become tombstones, dead letters are taken out, reasons that may quote an
address leave the ledger. Then, for mails whose job Kafka has really removed, also the user id: ledger, attempts and
dedup set. Not earlier: while a job stands in its topic, a replay would send it again if nobody knew of the first time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from processor.adapters.redis import RedisDedup
from processor.adapters.write import write_placed
from processor.core.standing import Entry, standing
from processor.core.states import State
from processor.ops.closing import close_at
from processor.ops.moving import letters_of, take_out
from processor.ports import Produced
from schemas.codec import decode_delivery, encode
from schemas.identity import Key
from schemas.kafka.reading import Record, read_topic
from schemas.records import Delivery
from schemas.runtime.errors import BadRecord, RedisUnavailable
from schemas.runtime.settings import Settings

__all__ = ["Forgotten", "Trace", "find", "forget"]


Spot = tuple[int, bytes]
"""A partition and a key in it: after partitions were added, a key's records may stand in two."""


class Trace(msgspec.Struct):
    """What the topics hold of a user."""

    live: set[Spot] = set()
    """where the last record of the jobs topic is a job"""
    buried: dict[Spot, int] = {}
    """where the last record is a tombstone, and its offset"""
    held: set[bytes] = set()
    """keys of which Kafka still holds some job, also behind a tombstone"""
    outcomes: dict[Spot, Delivery] = {}
    stands: dict[bytes, Entry] = {}
    """what the ledger says of each key, by all its partitions"""
    attempts: set[Spot] = set()
    letters: dict[int, list[Record]] = {}
    events: int = 0

    @property
    def told(self) -> list[Spot]:
        """Where the ledger holds a sentence that may quote an address; an uncertain one keeps its own
        until it is resolved."""
        return sorted(spot for spot, entry in self.outcomes.items() if entry.detail and spot[1] not in self.uncertain)

    @property
    def uncertain(self) -> set[bytes]:
        """Keys of which nobody knows yet whether they were sent."""
        return {key for key, entry in self.stands.items() if entry.state is State.UNCERTAIN_RECORDED}

    @property
    def known(self) -> set[bytes]:
        return {key for _, key in self.outcomes.keys() | self.attempts}

    @property
    def removable(self) -> set[bytes]:
        """Keys that nobody needs any more: no job left, and nothing uncertain."""
        return (self.known & self.stands.keys()) - self.held - self.uncertain

    @property
    def kept(self) -> dict[str, str]:
        """Keys that stay, and why."""
        held = "Kafka still holds the job, at the longest 35 days after its tombstone and until it compacts"
        uncertain = "nobody knows its outcome yet: `mailonce uncertain list`"
        return {key.decode(): held if key in self.held else uncertain for key in sorted(self.known - self.removable)}


def find(settings: Settings, user: str) -> Trace:
    """Reads the topics for one user. Raises `BrokerUnavailable`."""
    topics, trace = settings.topics, Trace()

    def of_user(record: Record) -> bool:
        return _user_of(record.key) == user

    def spots(topic: str) -> Iterator[tuple[Spot, bytes | None]]:
        for record in filter(of_user, read_topic(settings, topic)):
            yield (record.partition, record.key or b""), record.value

    for record in filter(of_user, read_topic(settings, topics.jobs)):
        spot = (record.partition, record.key or b"")
        trace.live.discard(spot)
        trace.buried.pop(spot, None)
        if record.value is None:
            trace.buried[spot] = record.offset
        else:
            trace.live.add(spot)
            trace.held.add(spot[1])
    entries: dict[bytes, list[tuple[int, Entry | None]]] = {}
    for spot, value in spots(topics.deliveries):
        partition, key = spot
        trace.outcomes.pop(spot, None)
        if value is not None:
            trace.outcomes[spot] = decode_delivery(value)
        entry = Entry.of(trace.outcomes[spot], partition) if value is not None else None
        entries.setdefault(key, []).append((partition, entry))
    trace.stands = {key: stands for key, said in entries.items() if (stands := standing(said)) is not None}
    for spot, value in spots(topics.attempts):
        trace.attempts.discard(spot)
        if value is not None:
            trace.attempts.add(spot)
    trace.letters = letters_of(settings, of_user)
    trace.events = sum(1 for _ in spots(topics.events))
    return trace


def _user_of(key: bytes | None) -> str:
    try:
        return Key.from_bytes(key).user_id
    except BadRecord:
        return ""


class Forgotten(msgspec.Struct, frozen=True):
    """What was removed, and what was found of mails that were not known to be sent."""

    removed: Counter[str]
    found: dict[str, str]
    """by key: how it stood when it was closed"""


async def forget(settings: Settings, trace: Trace, dedup: RedisDedup) -> Forgotten:
    """Removes what can be removed now; raises `BrokerUnavailable` and `RedisUnavailable`: the same again goes on."""
    done: Counter[str] = Counter()
    topics = settings.topics
    removable = trace.removable
    told = [spot for spot in trace.told if spot[1] not in removable]
    records = [Produced(topics.jobs, *spot, None) for spot in sorted(trace.live)]
    for spot in told:
        short = msgspec.structs.replace(trace.outcomes[spot], detail=None)
        records.append(Produced(topics.deliveries, *spot, encode(short)))
    records += [Produced(topics.deliveries, *spot, None) for spot in sorted(trace.outcomes) if spot[1] in removable]
    records += [Produced(topics.attempts, *spot, None) for spot in sorted(trace.attempts) if spot[1] in removable]
    places = write_placed(settings, records) if records else []
    # One that was broken off has left tombstones whose keys are not closed.
    tombs = trace.buried | {spot: offset for spot, (_, offset) in zip(sorted(trace.live), places, strict=False)}
    found = await _closed(settings, dedup, tombs)
    await dedup.forget([Key.from_bytes(key) for key in sorted(removable)])
    for partition, letters in sorted(trace.letters.items()):
        done["dead_letters_moved"] += take_out(settings, partition, letters)
        done["dead_letters"] += len(letters)
    done.update({"jobs": len(trace.live), "ledger_details": len(told), "mails": len(removable)})
    return Forgotten(+done, found)


async def _closed(settings: Settings, dedup: RedisDedup, tombs: dict[Spot, int]) -> dict[str, str]:
    """How the keys of these tombstones stood when they were closed there; raises `RedisUnavailable`."""
    places = [(Key.from_bytes(key), partition, offset) for (partition, key), offset in sorted(tombs.items())]
    try:
        found = await close_at(settings, dedup, places)
    except RedisUnavailable as error:
        raise RedisUnavailable(
            f"the tombstones stand in Kafka, but whether a call was in flight is not known: {error}; the same command "
            f"goes on"
        ) from error
    return {str(key): standing.value for (key, _, _), standing in zip(places, found, strict=True)}
