"""One small world: a cluster, Redis, SES and its queue, the processes on them, and what people do.

Times are the product's, some twenty times shorter, in the same order: a lifetime outlasts the longest time between two
polls, the session time-out and a transaction's together, and a signature.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from processor.core.kept import Kept, kept_ms
from processor.core.months import month_of_key, opening
from processor.core.outcomes import PENDING, Mail, has_job, with_delivery, with_job
from schemas.codec import DEAD_LETTER_HEADER, decode_dead_letter, decode_delivery, encode
from schemas.control import Installation, MonthOpened, control_key
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.records import DeadLetter, Delivery, Job
from schemas.runtime.settings import Settings
from tests.simulation.control_log import read_control
from tests.simulation.kafka import Kafka
from tests.simulation.loop import Owner, VirtualLoop
from tests.simulation.net import Net
from tests.simulation.process import Process, evidence, processor
from tests.simulation.reading_twin import simulated
from tests.simulation.redis_twin import Redis
from tests.simulation.ses_twin import Ses, Sqs

__all__ = ["MONTH", "SLOTS", "UNTIL_S", "Published", "Trigger", "World", "job", "settings"]

MONTH = "2026-11"
UNTIL_S = 30.0
"""Faults happen before this moment."""
SLOTS = ("p0", "p1")
"""The month's own processors."""
BEGIN_MS = int(datetime(2026, 11, 15, tzinfo=UTC).timestamp() * 1000)
BACKOFF = {"interval_s": 0.3, "backoff_rate": 2, "max_attempts": 50, "max_delay_s": 2}


def settings(**others: Any) -> Settings:
    usual: dict[str, Any] = {
        "topic_prefix": "sim-",
        "from_address": "sender@example.net",
        "session_timeout_s": 3,
        "attempt_lifetime_s": 14,
        "signature_age_s": 11,
        "evidence_window_s": 20,
        "calls_at_once": 2,
        "account_refresh_s": 5,
        "retry": {"throttled": BACKOFF, "unreachable": BACKOFF},
        "breaker_consecutive": 0,
        "breaker_share": 0,
    }
    return Settings(_env_file=None, **(usual | others))  # type: ignore[call-arg]


def job(user: str, *, month: str = MONTH, version: int = 1) -> Job:
    return Job(
        v=1,
        user_id=user,
        month=month,
        email=f"{user}@mail.example.net",
        template="monthly",
        data={"name": user, "usage": str(version)},
    )


class Published(NamedTuple):
    """A record of the jobs topic, and when its producer had it acknowledged."""

    at_s: float
    key: bytes | None
    place: tuple[int, int]
    value: bytes | None


class Trigger:
    """Something that happens when a process comes to a step for the n-th time."""

    def __init__(self, slot: str, step: str, number: int, act: Callable[[Process], object]) -> None:
        self.slot = slot
        self.step = step
        self.left = number
        self.act = act

    def meets(self, owner: Owner, step: str) -> bool:
        if self.left <= 0 or not owner.name.startswith(self.slot) or not step.startswith(self.step):
            return False
        self.left -= 1
        return self.left == 0


class World:
    """Everything there is. Make it inside `World.made`, then let it `run`."""

    def __init__(
        self,
        seed: int,
        loop: VirtualLoop,
        *,
        partitions: int = 2,
        on: Settings | None = None,
        opened: bool = True,
        follows: bool = True,
    ) -> None:
        """
        Args:
            seed: of everything that is random.
            loop: of virtual time.
            partitions: of each topic.
            on: the settings.
            opened: whether the month was opened, as `mailonce produce` does; 0.1 opened none.
            follows: whether processors follow ledger and attempts.
        """
        self.seed, self.follows = seed, follows
        self.loop = loop
        self.later_ms = 0
        """how far the calendar was turned on"""
        self.settings = on or settings()
        self.net = Net(random.Random(seed), loop.later, loop.time)
        self.net.on_step = self._on_step
        self.kafka = Kafka(self.net, partitions)
        self.kafka.now_ms = self.wall_ms
        self.install(self.kafka, "ours")
        if opened:
            self.open_month(MONTH)
        self.redis = Redis(self.net, self.settings.attempt_lifetime_s, self.wall_ms)
        self.sqs = Sqs(self.net)
        self.ses = Ses(self.net, self.sqs, self.wall_ms)
        self.suppressed: set[str] = set()
        self.processes: list[Process] = []
        self.slots: dict[str, Process] = {}
        self.triggers: list[Trigger] = []
        self.defects: list[str] = []
        self.published: list[Published] = []
        self.cancelled: set[str] = set()
        self.redis_faults_s: list[float] = []
        self.nobody_until_s = 0.0
        """Until then no processor is started."""
        self.calm = False
        """Whether faults are over."""
        self._count: dict[str, int] = {}

    @classmethod
    @contextmanager
    def made(cls, seed: int, **about: Any) -> Iterator[World]:
        """A world, taken apart afterwards without a word of what was killed."""
        loop = VirtualLoop()
        collects = gc.isenabled()
        gc.disable()
        try:
            with simulated(loop):
                world = cls(seed, loop, **about)
                try:
                    yield world
                finally:
                    for process in world.processes:
                        process.kill()
                    for process in world.processes:
                        process.bury()
        finally:
            loop.close()
            if collects:
                gc.enable()

    def run(self, story: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(story)

    def install(self, kafka: Kafka, name: str) -> None:
        """As `mailonce topics create`."""
        topics = self.settings.topics
        names = (topics.control, topics.jobs, topics.attempts, topics.deliveries)
        made = Installation(id=name, cluster=kafka.name, topics={one: kafka.topic_id(one) for one in names})
        kafka.publish(topics.control, control_key(made), encode(made), partition=0)

    def lose_kafka(self) -> None:
        """The cluster is made anew, with empty topics and no group; its topics have other ids."""
        for topic in list(self.kafka.topics):
            self.kafka.recreate(topic)
        self.kafka.groups.clear()
        self.install(self.kafka, "anew")

    def open_month(self, month: str) -> None:
        """As `mailonce produce` does before a month's first job."""
        kafka, topics = self.kafka, self.settings.topics
        names = (topics.attempts, topics.deliveries, topics.dead_letters, topics.jobs)
        begins = {name: [log.end for log in kafka.topic(name)] for name in names}
        control = read_control(kafka, topics.control)
        for key, content in opening(control, month, begins, topics.jobs, self.wall_ms()):
            assert isinstance(content, MonthOpened)
            kafka.publish(topics.control, key, encode(content), partition=0)
            kafka.opened[month] = content

    # ---- what the topics keep ----

    @property
    def kept(self) -> Kept:
        """As a processor asks when it starts: topics as `mailonce topics create` makes them."""
        return Kept.of(self.settings.topics, self._configs())

    def age(self, *names: str) -> None:
        """Kafka takes away what these topics, or all of them, keep no more."""
        for name, config in self._configs().items():
            if name in names or not names:
                self.kafka.age(name, kept_ms(config))

    def _configs(self) -> dict[str, dict[str, str]]:
        return {spec.name: spec.config for spec in self.settings.topics.specs()}

    # ---- time ----

    def wall_ms(self) -> int:
        return BEGIN_MS + self.later_ms + int(self.loop.time() * 1000)

    def at(self, at_s: float, what: str, act: Callable[[], object]) -> None:
        """A fault, or what somebody does, at a moment of the world's time."""

        def happen() -> None:
            self.net.history.note("world", f"!{what}")
            act()

        self.loop.later(max(0.0, at_s - self.loop.time()), happen)

    def when(self, slot: str, step: str, number: int, act: Callable[[Process], object]) -> None:
        """A fault at the n-th time that a process of this slot comes to a step, for example ``redis.claim >``."""
        self.triggers.append(Trigger(slot, step, number, act))

    def _on_step(self, owner: Owner, step: str) -> None:
        for trigger in self.triggers:
            if trigger.meets(owner, step):
                self.net.history.note(owner.name, f"!at {step}")
                trigger.act(owner)  # type: ignore[arg-type]

    # ---- processes ----

    def start(self, slot: str, main: Callable[[Process], Awaitable[object]] = processor, **how: Any) -> Process:
        """A new process in a slot; the slot's earlier one goes on, if it does."""
        self._count[slot] = self._count.get(slot, 0) + 1
        process = Process(self, f"{slot}.{self._count[slot]}", main, **how)
        self.processes.append(process)
        self.slots[slot] = process
        return process

    def count(self, slot: str) -> int:
        """How many processes were started in a slot."""
        return self._count.get(slot, 0)

    def start_evidence(self, slot: str = "ev", **how: Any) -> Process:
        return self.start(slot, evidence, **how)

    def told_before(self, process: Process) -> frozenset[tuple[int, int]]:
        """As a replay asks before it starts."""
        if not process.group.startswith("replay"):
            return frozenset()
        letters = [self.letter(record) for record in self.kafka.everything(self.settings.topics.dead_letters)]
        return frozenset((x.source.partition, x.source.offset) for x in letters if x.reason == "bad-key")

    # ---- what people do ----

    def publish(self, user: str, *, version: int = 1, month: str = MONTH, partition: int = -1) -> tuple[int, int]:
        value = encode(job(user, month=month, version=version))
        return self._put(Key(user, month).to_bytes(), value, f"v{version}", partition)

    def cancel(self, user: str, *, month: str = MONTH, partition: int = -1) -> tuple[int, int] | None:
        """As `processor.ops.cancel`: its place; nothing is written for a key without a job."""
        raw = Key(user, month).to_bytes()
        return self._put(raw, None, "tombstone", partition) if has_job(raw, self.jobs()) else None

    def publish_raw(self, key: bytes | None, value: bytes, partition: int = 0) -> tuple[int, int]:
        return self._put(key, value, f"{len(value)} bytes", partition)

    def _put(self, key: bytes | None, value: bytes | None, what: str, partition: int) -> tuple[int, int]:
        place = self.kafka.publish(self.settings.topics.jobs, key, value, partition=partition)
        self.net.history.note("producer", "publishes", key or b"-", what, f"{place[0]}:{place[1]}")
        self.published.append(Published(self.loop.time(), key, place, value))
        return place

    # ---- what a read_committed reader sees ----

    def jobs(self) -> list[Record]:
        return self.kafka.everything(self.settings.topics.jobs)

    def deliveries(self) -> list[tuple[bytes, Delivery, int]]:
        """Key, entry, and the partition of the ledger that it stands in."""
        records = self.kafka.everything(self.settings.topics.deliveries)
        told = [record for record in records if record.key is not None and record.value is not None]
        return [(r.key or b"", decode_delivery(r.value or b""), r.partition) for r in told]

    def letter(self, record: Record) -> DeadLetter:
        return decode_dead_letter(record.headers)

    def letters(self) -> list[Record]:
        found = self.kafka.everything(self.settings.topics.dead_letters)
        return [record for record in found if any(name == DEAD_LETTER_HEADER for name, _ in record.headers)]

    def mails(self) -> dict[bytes, Mail]:
        """As `status` folds them."""
        mails: dict[bytes, Mail] = {}
        since_ms = self.kept.told_since_ms(self.wall_ms())
        for record in self.jobs():
            if record.timestamp_ms < since_ms:
                continue
            placed = Published(0.0, record.key, (record.partition, record.offset), record.value)
            if record.key is None or not self.belongs(placed):
                continue
            if (mail := with_job(mails.get(record.key), record)) is not None:
                mails[record.key] = mail
        for key, delivery, partition in self.deliveries():
            mails[key] = with_delivery(mails.get(key), delivery, partition)
        return mails

    def belongs(self, published: Published) -> bool:
        """Whether a record stands where its key does; in a month that nobody opened any partition will do."""
        opened = self.kafka.opened.get(month_of_key(published.key))
        return opened is None or self.kafka.partition_of(published.key) == published.place[0]

    def pending(self) -> list[bytes]:
        return [key for key, mail in self.mails().items() if mail.standing == PENDING and _is_key(key)]


def _is_key(raw: bytes) -> bool:
    return raw.count(b":") == 1 and raw[-7:-3].isdigit()
