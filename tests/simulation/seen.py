"""A world's transactions as a read_committed reader sees them come, and who may be in doubt after which fault."""

from __future__ import annotations

from collections import defaultdict
from math import inf

from processor.core.adoption import NOWHERE
from processor.core.offsets import decode_settled
from processor.core.states import State
from schemas.codec import decode_attempt, decode_delivery
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.records import Delivery, Outcome
from schemas.runtime.errors import BadRecord
from tests.simulation.kafka import Committed
from tests.simulation.process import Process
from tests.simulation.world import World

__all__ = ["Seen", "key_of"]

MARKED_S = 3.0
"""An answer that came so long before a fault was marked, unless Redis was away."""
LIVE = "mailonce"


class Seen:
    """What was intended, told and excused, in a world that runs; and what no transaction may do."""

    def __init__(self, world: World, *, events_come: bool = True, strict: bool = False) -> None:
        """
        Args:
            world: to be judged.
            events_come: whether SES's events may be relied upon to end every doubt about what it took.
            strict: whether a processor must know a newer record from the moment when it gets the partition.
        """
        self.strict = strict
        self.world = world
        self._topics = world.settings.topics
        self.events_come = events_come
        self.told: list[str] = []
        self.outcomes: dict[bytes, list[tuple[float, str, Delivery]]] = defaultdict(list)
        self.intents: dict[str, tuple[float, str, bytes]] = {}
        """attempt: when committed, by which instance, for which key"""
        self._prefix: dict[int, int] = {}
        self._ahead: dict[int, set[int]] = defaultdict(set)
        self._letters: set[tuple[int, int]] = set()
        self.excused: dict[bytes, str] = {}
        world.kafka.on_commit.append(self._committed)

    # ---- while it runs ----

    def excuse(self, process: Process, why: str) -> None:
        """A fault of a process: what it holds now, and what its last request claims yet, may be in doubt."""
        self._excuse_claims(process, why)
        self.world.loop.later(1.5, self._excuse_claims, process, why)

    def _excuse_claims(self, process: Process, why: str) -> None:
        for server in list(self.world.redis.servers.values()):
            for key, claim in server.set.claims.items():
                about = self.intents.get(claim.attempt)
                answered_s = self.world.ses.answered.get(claim.attempt, inf)
                if answered_s < self.world.loop.time() - MARKED_S:
                    continue
                if claim.state is State.SENDING and about is not None and about[1] == process.instance:
                    self.excused.setdefault(key.to_bytes(), why)

    def excuse_key(self, key: Key, why: str) -> None:
        self.excused.setdefault(key.to_bytes(), why)

    def _committed(self, done: Committed) -> None:
        fresh: list[tuple[bytes, Delivery]] = []
        letters: set[bytes | None] = set()
        for topic, record in done.records:
            if topic == self._topics.attempts and record.value is not None:
                attempt = decode_attempt(record.value)
                self.intents.setdefault(attempt.attempt, (done.at_s, attempt.instance, record.key or b""))
            elif topic == self._topics.deliveries and record.value is not None and record.key is not None:
                fresh.append((record.key, decode_delivery(record.value)))
                self.outcomes[record.key].append((done.at_s, done.instance, fresh[-1][1]))
            elif topic == self._topics.dead_letters:
                source = self.world.letter(record).source
                letters.add(record.key)
                self._letters.add((source.partition, source.offset))
        for key, delivery in fresh:
            told_before = delivery.source.partition == NOWHERE  # and its letter with it
            dead = delivery.outcome is Outcome.DEAD and delivery.message_id is None
            if dead and key not in letters and not told_before:
                self.told.append(f"G3 {key.decode()} became dead without its letter in the same transaction")
        for partition, (offset, text) in done.offsets.get(LIVE, {}).items():
            self._moved(partition, offset, text)

    def _moved(self, partition: int, offset: int, text: str) -> None:
        """The live group's offsets moved: each record that is settled by that must have its outcome already."""
        settled = set(decode_settled(text, offset))
        before, ahead = self._prefix.get(partition, 0), self._ahead[partition]
        for record in self._records(partition):
            fresh = (before <= record.offset < offset or record.offset in settled) and record.offset not in ahead
            if fresh and (why := self._unexplained(record)):
                self.told.append(f"G3 {partition}:{record.offset} was settled although {why}")
        self._prefix[partition] = max(before, offset)
        ahead |= settled

    def _records(self, partition: int) -> list[Record]:
        kafka = self.world.kafka
        entries = kafka.topic(self._topics.jobs)[partition].entries
        return [entry.record for entry in entries if not entry.marker and entry.transaction not in kafka.aborted]

    def _unexplained(self, record: Record) -> str:
        """Why a settled record ought not to be; empty when it may."""
        if key_of(record.key) is None:
            return (
                ""
                if (record.partition, record.offset) in self._letters
                else "nobody can read its key and no letter tells"
            )
        if self.outcomes.get(record.key or b""):
            return ""
        if self.world.kafka.partition_of(record.key) != record.partition:
            told = (record.partition, record.offset) in self._letters or record.value is None
            return "" if told else "it stands where its key does not belong and no letter tells"
        newer = any(r.key == record.key and r.offset > record.offset for r in self._records(record.partition))
        return "" if newer else f"{(record.key or b'').decode()} has no outcome"


def key_of(raw: bytes | None) -> Key | None:
    try:
        return Key.from_bytes(raw)
    except BadRecord:
        return None
