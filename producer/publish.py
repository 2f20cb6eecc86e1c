"""Jobs into the jobs topic: only what is new or changed, idempotently, so that a re-run is always safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from schemas.codec import decode_job, fingerprint
from schemas.control import MonthOpened
from schemas.identity import Key
from schemas.kafka.clients import producer_config
from schemas.kafka.reading import partition_numbers
from schemas.kafka.writing import flush
from schemas.registry import mark_of
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings
from schemas.runtime.tracing import end_tracing, trace_header, tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

__all__ = ["Publisher", "Replaced"]

BY_KEY = -1
"""The partition that librdkafka chooses, by the key and the partitions that there are now."""
FLUSH_S = 60.0
ABANDON_S = 10.0
REPLACED_AT_ONCE = 500
"""places"""
POLL_EVERY = 100
"""jobs: a refused one is heard of no later than so many jobs on"""


class Replaced(NamedTuple):
    """A key whose earlier record was replaced, and the newer one's place."""

    key: Key
    partition: int
    offset: int
    fingerprint: str = ""
    """of the newer one's content"""


def _nobody(_replaced: list[Replaced]) -> None: ...


@dataclass(slots=True)
class Publisher:
    """Publishes jobs that the topic does not hold yet."""

    settings: Settings
    open_month: Callable[[], MonthOpened | None] = lambda: None
    """Called before the first job is written; returns how the month is open, or nothing for one that has no record."""
    replaced: Callable[[list[Replaced]], None] = _nobody
    """Told of records that took the place of earlier ones, once Kafka has acknowledged them."""
    written: int = 0
    """jobs that were given to Kafka"""
    _failed: list[str] = field(default_factory=list)
    _replaced: list[Replaced] = field(default_factory=list)
    _producer: Producer | None = None
    _correcting: Producer | None = None
    """Of records whose places are wanted: a report for each costs too much for all."""
    _topic: str = ""
    _opened: MonthOpened | None = None
    _by_key: bool = False
    """whether librdkafka finds the partition where a key belongs"""
    _mark: bytes = b""
    _tracer: Tracer | None = None

    def publish_planned(self, key: bytes, value: bytes, *, replaces: bool) -> None:
        """Publishes a job that was planned (`producer.tally`)."""
        self.written += 1
        if self._producer is None:
            self._start()
        self._produce(key, self._mark + value, replaces=replaces)

    def publish_new(self, jobs: Sequence[tuple[bytes, bytes]]) -> None:
        """Publishes jobs, by key and value, of which the topic holds nothing."""
        self.written += len(jobs)
        if not jobs:
            return
        if self._producer is None:
            self._start()
        assert self._producer is not None
        if self._tracer is not None or not self._by_key:
            for key, value in jobs:
                self._produce(key, self._mark + value, replaces=False)
            return
        mark = self._mark
        self._produce_all([{"key": key, "value": mark + value if mark else value} for key, value in jobs])

    def _produce_all(self, left: list[dict[str, Any]]) -> None:
        assert self._producer is not None
        while left:
            self._producer.produce_batch(self._topic, left)
            self._poll()
            left = [one for one in left if "_error" in one]
            for one in left:
                error = one.pop("_error")
                if error.code() != KafkaError._QUEUE_FULL:
                    self._failed.append(error.str())
            if self._failed:
                raise self._failure()
            if left:
                self._producer.poll(0.1)

    def _start(self) -> None:
        self._mark = mark_of(self.settings)
        self._opened = self.open_month()
        self._producer = Producer(
            {
                **producer_config(self.settings),
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
            }
        )
        self._topic = self.settings.topics.jobs
        self._by_key = self._as_many_as_then()
        self._tracer = tracer(self.settings, "mailonce-producer")

    def _as_many_as_then(self) -> bool:
        """Whether the topic has as many partitions as the month's keys are spread over: librdkafka counts them too."""
        return self._opened is None or len(partition_numbers(self.settings, self._topic)) == self._opened.partitions

    def _produce(self, key: bytes, value: bytes, *, replaces: bool) -> None:
        if replaces and self._correcting is None:
            self._correcting = Producer({**producer_config(self.settings), "on_delivery": self._corrected})
        producer = self._correcting if replaces else self._producer
        assert producer is not None
        partition = self._opened.partition_of(key) if self._opened and not self._by_key else BY_KEY
        while True:
            try:
                if self._tracer is None:
                    producer.produce(self._topic, value, key, partition)
                else:
                    with self._tracer.start_as_current_span("publish") as span:
                        producer.produce(self._topic, value, key, partition, headers=[trace_header(span)])
                break
            except BufferError:
                producer.poll(0.5)
        if self.written % POLL_EVERY == 0:
            self._poll()
        if self._failed:
            raise self._failure()

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed.append(error.str())

    def _poll(self) -> None:
        for producer in (self._producer, self._correcting):
            if producer is not None:
                producer.poll(0)
        if len(self._replaced) >= REPLACED_AT_ONCE:
            self._tell_replaced()

    def _corrected(self, error: KafkaError | None, message: Message) -> None:
        self._delivered(error, message)
        if error is None:
            key, value = message.key(), message.value()
            assert isinstance(key, bytes)
            assert isinstance(value, bytes)
            content = fingerprint(decode_job(key, value))
            place = (message.partition() or 0, message.offset() or 0)
            self._replaced.append(Replaced(Key.from_bytes(key), *place, content))

    def _tell_replaced(self) -> None:
        replaced, self._replaced = self._replaced, []
        if replaced:
            self.replaced(replaced)

    def _failure(self) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"Kafka did not take {len(self._failed)} jobs ({self._failed[0]}); run the same command again: it goes on "
            f"where this one ended"
        )

    def abandon(self) -> None:
        """Tells of the records that were replaced by now: the older ones must not go out, though the rest failed."""
        if self._correcting is not None:
            flush(self._correcting, ABANDON_S)
            self._tell_replaced()

    def finish(self) -> None:
        """Waits until Kafka has acknowledged every job; raises `BrokerUnavailable` when it did not."""
        if self._producer is not None:
            left = flush(self._producer, FLUSH_S) + (flush(self._correcting, FLUSH_S) if self._correcting else 0)
            end_tracing()
            self._tell_replaced()
            if left:
                self._failed.append(f"{left} without an answer after {FLUSH_S:g} s")
        if self._failed:
            raise self._failure()
        if self._by_key and not self._as_many_as_then():
            raise BrokerUnavailable(
                f"partitions were added to {self._topic} while jobs were published: some may stand where they do not "
                f"belong, and are never sent. Run the same command again: it publishes those where they belong"
            )
