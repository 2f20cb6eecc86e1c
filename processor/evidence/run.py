"""``mailonce evidence``: events from SQS, or CloudTrail's log files, into Redis and Kafka; doubt resolves by itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from processor.adapters.doubts import Doubts
from processor.adapters.kafka_watch import kafka_watched
from processor.adapters.metrics_server import metrics_served
from processor.adapters.redis import RedisDedup, check_server, connect
from processor.adapters.write import TransactionalWriter
from processor.core.cloudtrail import read_log
from processor.core.evidence import Foreign, SesEvent, read_event
from processor.evidence.doubts import Sweeper
from processor.evidence.logs import log_files
from processor.evidence.queue import EventQueue, QueueMessage
from processor.evidence.scribe import EventScribe
from processor.evidence.sink import Sink
from processor.meter import EvidenceMeter
from schemas.errors import BadRecord, BrokerUnavailable, RedisUnavailable
from schemas.logs import Event, get_log
from schemas.reading import Follower, RecordReader
from schemas.settings import Settings

__all__ = ["Evidence", "gather", "gather_cloudtrail"]

log = get_log()

WAIT_S = 10
EMPTY_RECEIVES = 2
"""A drain ends after so many receives in a row brought nothing."""
RETRY_S = 0.5
SWEEP_EVERY_S = 60.0
LOG_BATCH = 500
STILL_S = 60.0


@dataclass
class Evidence:
    """One evidence process."""

    settings: Settings
    dedup: RedisDedup
    sink: Sink
    sweeper: Sweeper
    now_ms: Callable[[], int]
    meter: EvidenceMeter
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, queue: EventQueue, *, drain: bool) -> None:
        """Takes what the queue holds until it is stopped, or with `drain` until it is empty."""
        empty, swept = 0, float("-inf")
        clock = asyncio.get_running_loop().time
        while not self.stopping.is_set() and not (drain and empty >= EMPTY_RECEIVES):
            messages = await asyncio.to_thread(queue.receive, 1 if drain else WAIT_S)
            self.meter.looked_ms = self.now_ms()
            empty = 0 if messages else empty + 1
            if messages:
                await self._until_done(lambda taken=messages: self._take(queue, taken))  # type: ignore[misc]
            if not drain and clock() - swept >= SWEEP_EVERY_S:
                await self.sweep()
                swept = clock()
        if drain:
            await self.sweep()

    def why_not_ready(self) -> str | None:
        """The queue has not been asked for a while, or not yet."""
        still_s = (self.now_ms() - self.meter.looked_ms) / 1000
        return f"the queue was last asked {still_s:.0f} s ago" if still_s > STILL_S else None

    async def sweep(self) -> None:
        await self._until_done(lambda: self.sweeper.sweep(self.now_ms()))

    async def _take(self, queue: EventQueue, messages: list[QueueMessage]) -> None:
        events: dict[SesEvent, list[QueueMessage]] = {}
        bad: list[tuple[bytes, BadRecord]] = []
        done: list[QueueMessage] = []
        foreign = 0
        for message in messages:
            try:
                event = read_event(message.body)
            except BadRecord as why:
                bad.append((message.body, why))
                done.append(message)
                continue
            if isinstance(event, Foreign):
                foreign += 1
                done.append(message)
            else:
                events.setdefault(event, []).append(message)
        early = await self.sink.take(list(events), bad, self.now_ms())
        if events:
            self.meter.last_event_ms = self.now_ms()
        await self.dedup.feed_alive_ms(max((event.sent_at_ms for event in events), default=0))
        self.sink.counts["foreign"] += foreign
        self.sink.counts["early"] += len(early)
        done += [message for event, copies in events.items() if event not in early for message in copies]
        await asyncio.to_thread(queue.delete, done)

    async def take_logs(self, place: str) -> None:
        """Every CloudTrail log file at `place`. Raises `UsageError` when it cannot be read."""
        for name, content in log_files(place):
            try:
                found = list(read_log(content))
            except BadRecord as why:
                found = [why]
            events = [entry for entry in found if isinstance(entry, SesEvent)]
            for entry in found:
                if isinstance(entry, BadRecord):
                    self.sink.counts["bad"] += 1
                    log.warning(Event.UNREADABLE, error=entry.detail, place=name)
            self.sink.counts["foreign"] += sum(isinstance(entry, Foreign) for entry in found)
            for first in range(0, len(events), LOG_BATCH):
                batch = events[first : first + LOG_BATCH]
                await self._until_done(lambda batch=batch: self.sink.take(batch, [], self.now_ms()))  # type: ignore[misc]

    async def _until_done(self, step: Callable[[], Awaitable[object]]) -> None:
        """Repeats a step while Redis or Kafka is away: messages stay in the queue meanwhile."""
        while not self.stopping.is_set():
            try:
                await step()
            except RedisUnavailable as error:
                log.warning(Event.REDIS_UNAVAILABLE, error=str(error))
            except BrokerUnavailable as error:
                log.warning(Event.KAFKA, error=str(error))
            else:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S):
                    await self.stopping.wait()


def gather(settings: Settings, version: str, now_ms: Callable[[], int], *, drain: bool) -> Counter[str]:
    """Follows the queue until SIGTERM, or with `drain` until it is empty; returns counts by what the messages were."""
    queue = EventQueue(settings.events_queue_url)

    async def run() -> Counter[str]:
        async with _evidence(settings, version, now_ms) as evidence:
            await evidence.follow(queue, drain=drain)
            return evidence.sink.counts

    return asyncio.run(run())


def gather_cloudtrail(settings: Settings, version: str, now_ms: Callable[[], int], place: str) -> Counter[str]:
    """Takes CloudTrail's log files at `place`; returns counts by what their records were."""

    async def run() -> Counter[str]:
        async with _evidence(settings, version, now_ms) as evidence:
            await evidence.take_logs(place)
            return evidence.sink.counts

    return asyncio.run(run())


@asynccontextmanager
async def _evidence(settings: Settings, version: str, now_ms: Callable[[], int]) -> AsyncIterator[Evidence]:
    instance = settings.instance_name()
    client = connect(settings)
    jobs = RecordReader(settings, settings.topics.jobs)
    try:
        await check_server(client)
        dedup = RedisDedup.of(settings, client)
        scribe = EventScribe(settings.topics, instance, version, now_ms)
        sink = Sink(scribe, dedup, jobs, TransactionalWriter(settings, f"evidence-{instance}"))
        doubts = Doubts(Follower(settings, settings.topics.deliveries))
        sweeper, meter = Sweeper(settings, dedup, sink, doubts), EvidenceMeter(sink.counts, now_ms)
        meter.doubts_since_ms = sweeper.since_ms
        evidence = Evidence(settings, dedup, sink, sweeper, now_ms, meter)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, evidence.stopping.set)
        with (
            kafka_watched(settings, served=settings.metrics_port is not None) as watch,
            metrics_served(
                settings.metrics_host,
                settings.metrics_port,
                meter.registry,
                lambda: None,
                lambda: watch.why_not_ready() or evidence.why_not_ready(),
            ),
        ):
            yield evidence
    finally:
        jobs.close()
        await client.aclose()
