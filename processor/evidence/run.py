"""``mailonce evidence``: events from SQS, or CloudTrail's log files, into Redis and Kafka; doubt resolves by itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from processor.adapters.control import read_control, write_change
from processor.adapters.kafka_watch import kafka_watched
from processor.adapters.letters import EventLetters
from processor.adapters.metrics_server import metrics_served
from processor.adapters.redis import CLOSE_S, RedisDedup, check_server, connect
from processor.adapters.write import TransactionalWriter
from processor.core.brake import Undelivered
from processor.core.cloudtrail import read_log
from processor.core.evidence import Foreign, SesEvent, read_event
from processor.evidence.aside import Aside
from processor.evidence.logs import log_files
from processor.evidence.origin import Attempts, Origin
from processor.evidence.queue import EventQueue, QueueMessage
from processor.evidence.scribe import EventScribe
from processor.evidence.sink import Sink
from processor.evidence.stop import Stop
from processor.evidence.sweep import Sweeper, UncertainMails
from processor.recovery.part import refuse_foreign
from processor.telemetry.meter import EvidenceMeter
from schemas.control import Installation
from schemas.kafka.reading import Follower, RecordReader
from schemas.runtime.ending import in_thread, obey, stop_on_signals, within
from schemas.runtime.ending import run as run_loop
from schemas.runtime.errors import BadRecord, BrokerUnavailable, Overdue, RedisForeign, RedisUnavailable
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["Evidence", "gather", "gather_cloudtrail"]

log = get_log()

WAIT_S = 10
EMPTY_RECEIVES = 2
"""A drain ends after so many receives in a row brought nothing."""
RETRY_S = 0.5
STOP_S = 8.0
"""A stop may take so long."""
SWEEP_EVERY_S = 60.0
CHECK_EVERY_S = 10.0
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
    origin: Origin
    aside: Aside
    stop: Stop
    check: Callable[[], Awaitable[Installation]]
    """Whose cluster, topics and dedup set these are; raises where they are another installation's."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    news: bool = False
    """Whether the last messages held anything but what is another installation's and was seen before."""

    async def follow(self, queue: EventQueue, *, drain: bool) -> None:
        """Takes what the queue holds until it is stopped, or with `drain` until it is empty."""
        clock = asyncio.get_running_loop().time
        empty, swept, checked = 0, float("-inf"), clock()
        while not self.stopping.is_set() and not (drain and empty >= EMPTY_RECEIVES):
            if clock() - checked >= CHECK_EVERY_S:
                await self._until_done(self._check)
                checked = clock()
            messages = await self._receive(queue, 1 if drain else WAIT_S)
            self.meter.looked_ms = self.now_ms()
            self.news = False
            if messages:
                await self._until_done(lambda taken=messages: self._take(queue, taken))  # type: ignore[misc]
            # What is another installation's stays in the queue, and does not keep a drain from its end.
            empty = 0 if self.news else empty + 1
            if not drain and clock() - swept >= SWEEP_EVERY_S:
                await self.sweep(queue)
                swept = clock()
        if drain:
            await self.sweep(queue)

    async def _check(self) -> None:
        """Raises `InstallationForeign` and `RedisForeign`."""
        self.origin.installation = await self.check()

    async def _receive(self, queue: EventQueue, wait_s: int) -> list[QueueMessage]:
        """What the queue holds; nothing when a stop came first: what SQS handed out meanwhile comes again."""
        try:
            return await obey(in_thread(queue.receive, wait_s), self.stopping, 0)
        except Overdue:
            return []

    def why_not_ready(self) -> str | None:
        """The queue has not been asked for a while, or not yet."""
        still_s = (self.now_ms() - self.meter.looked_ms) / 1000
        return f"the queue was last asked {still_s:.0f} s ago" if still_s > STILL_S else None

    async def sweep(self, queue: EventQueue) -> None:
        async def step() -> None:
            # Asked before the ledger is read: what was in the queue until then stands in it by now.
            empty = self.sweeper.resends and await in_thread(queue.is_empty)
            await self.sweeper.sweep(self.now_ms(), queue_empty=empty)

        await self._until_done(step)

    async def _take(self, queue: EventQueue, messages: list[QueueMessage]) -> None:
        events: dict[SesEvent, list[QueueMessage]] = {}
        bad: list[tuple[bytes, BadRecord]] = []
        done: list[QueueMessage] = []
        others: list[Foreign] = []
        for message in messages:
            try:
                event = read_event(message.body)
            except BadRecord as why:
                bad.append((message.body, why))
                done.append(message)
                continue
            if isinstance(event, Foreign):
                others.append(event)
                done.append(message)
            else:
                events.setdefault(event, []).append(message)
        sort = await self.origin.sort(list(events))
        self.news = sort.news or bool(done)
        early = await self.sink.take(sort.ours, bad, self.now_ms())
        if sort.ours:
            self.meter.last_event_ms = self.now_ms()
        await self.stop.note([event for event in sort.ours if event not in early])
        await self.dedup.feed_alive_ms(max((event.sent_at_ms for event in sort.ours), default=0))
        for foreign in others:
            self.aside.take(foreign)
        self.sink.counts["early"] += len(early)
        done += [message for event in sort.ours if event not in early for message in events[event]]
        await in_thread(queue.delete, done)

    async def take_logs(self, place: str) -> None:
        """Every CloudTrail log file at `place`. Raises `UsageError` when it cannot be read."""
        for name, content in log_files(place):
            try:
                found = list(read_log(content))
            except BadRecord as why:
                found = [why]
            events = await self._ours([entry for entry in found if isinstance(entry, SesEvent)])
            for entry in found:
                if isinstance(entry, BadRecord):
                    self.sink.counts["bad"] += 1
                    log.warning(Event.UNREADABLE, error=entry.detail, place=name)
                elif isinstance(entry, Foreign):
                    self.aside.take(entry)
            for first in range(0, len(events), LOG_BATCH):
                batch = events[first : first + LOG_BATCH]
                await self._until_done(lambda batch=batch: self.sink.take(batch, [], self.now_ms()))  # type: ignore[misc]

    async def _ours(self, events: list[SesEvent]) -> list[SesEvent]:
        """Those of this installation's mails."""
        ours: list[SesEvent] = []

        async def step() -> None:
            ours[:] = (await self.origin.sort(events)).ours

        await self._until_done(step)
        return ours

    async def _until_done(self, step: Callable[[], Awaitable[object]]) -> None:
        """Repeats a step while Redis or Kafka is away: messages stay in the queue meanwhile.

        Raises `BrokerUnavailable` when Kafka was away for longer than the patience.
        """
        clock = asyncio.get_running_loop().time
        began_s = clock()
        while not self.stopping.is_set():
            try:
                await step()
            except RedisForeign:
                raise  # waiting does not help: somebody has to act
            except RedisUnavailable as error:
                log.warning(Event.REDIS_UNAVAILABLE, error=str(error))
                began_s = clock()
            except BrokerUnavailable as error:
                log.warning(Event.KAFKA, error=str(error))
                if clock() - began_s > self.settings.patience_s:
                    raise
            else:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S):
                    await self.stopping.wait()


def gather(settings: Settings, version: str, now_ms: Callable[[], int], *, drain: bool) -> Counter[str]:
    """Follows the queue until SIGTERM, or with `drain` until it is empty; returns counts by what the messages were."""
    queue = EventQueue(settings.events_queue_url)

    return run_loop(_counted(settings, version, now_ms, lambda evidence: evidence.follow(queue, drain=drain)))


def gather_cloudtrail(settings: Settings, version: str, now_ms: Callable[[], int], place: str) -> Counter[str]:
    """Takes CloudTrail's log files at `place`; returns counts by what their records were."""

    return run_loop(_counted(settings, version, now_ms, lambda evidence: evidence.take_logs(place)))


async def _counted(
    settings: Settings,
    version: str,
    now_ms: Callable[[], int],
    work: Callable[[Evidence], Coroutine[Any, Any, None]],
) -> Counter[str]:
    """Runs `work`. What a stop cannot wait for is taken anew by the next: it is safe to die anywhere."""
    counts: Counter[str] = Counter()
    with contextlib.suppress(Overdue):
        async with _evidence(settings, version, now_ms) as evidence:
            counts = evidence.sink.counts
            await obey(work(evidence), evidence.stopping, STOP_S)
    return counts


@asynccontextmanager
async def _evidence(settings: Settings, version: str, now_ms: Callable[[], int]) -> AsyncIterator[Evidence]:
    instance = settings.instance_name()
    stopping = asyncio.Event()
    stop_on_signals(stopping.set)
    client = connect(settings)
    jobs, attempts = RecordReader(settings, settings.topics.jobs), Attempts(settings)
    try:
        await obey(check_server(client), stopping, 0)
        dedup = RedisDedup.of(settings, client)

        async def check() -> Installation:
            return await refuse_foreign(settings, dedup, await in_thread(read_control, settings))

        installation = await obey(check(), stopping, 0)
        scribe = EventScribe(settings.topics, instance, version, now_ms)
        writer = TransactionalWriter(settings, f"evidence-{instance}")
        sink = Sink(scribe, dedup, EventLetters(settings), jobs, writer)
        uncertain = UncertainMails(Follower(settings, settings.topics.deliveries))
        sweeper, meter = Sweeper(settings, dedup, sink, uncertain), EvidenceMeter(sink.counts, now_ms)
        meter.doubts_since_ms = sweeper.since_ms
        origin = Origin(installation, attempts, sink.counts, time.monotonic)
        aside, stop = Aside(sink.counts, time.monotonic), _stop(settings, now_ms)
        evidence = Evidence(settings, dedup, sink, sweeper, now_ms, meter, origin, aside, stop, check, stopping)
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
        await within(CLOSE_S, in_thread(jobs.close))
        await within(CLOSE_S, client.aclose())


def _stop(settings: Settings, now_ms: Callable[[], int]) -> Stop:
    """What pauses a month that is not delivered, by the breaker's limits."""
    limits = Undelivered(settings.breaker_consecutive, settings.breaker_share)
    return Stop(limits, lambda decide: in_thread(write_change, settings, decide), now_ms)
