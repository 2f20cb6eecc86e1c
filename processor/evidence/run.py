"""``mailonce evidence``: events from SQS into Kafka; an acceptance that nobody heard of becomes `sent`.

The order makes it safe to die anywhere: the fact in Redis, then event and outcome in one Kafka transaction, then the
deletion in SQS. Whatever was not deleted comes again and changes nothing.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaException, Producer

from processor.adapters.redis import RedisDedup, check_server, connect
from processor.core.evidence import Foreign, SesEvent, read_event
from processor.core.states import Claim, State
from processor.evidence.queue import EventQueue, QueueMessage
from processor.ledger import Scribe
from processor.ports import Item, Produced
from schemas.errors import BadRecord, BrokerUnavailable, RedisUnavailable
from schemas.logs import Event, get_log
from schemas.reading import error_text
from schemas.settings import Settings
from schemas.wire import transactional_config

__all__ = ["Evidence", "gather"]

log = get_log()

INIT_TIMEOUT_S = 30.0
COMMIT_TIMEOUT_S = 20.0
WAIT_S = 10
EMPTY_RECEIVES = 2
"""A drain ends after so many receives in a row brought nothing."""

IN_DOUBT = {State.ABSENT, State.UNCERTAIN, State.UNCERTAIN_RECORDED, State.CLOSED}
"""Keys whose `sent` nobody else will write to the ledger."""


class Evidence:
    """Takes batches of queue messages to where they belong."""

    def __init__(self, settings: Settings, scribe: Scribe, dedup: RedisDedup, producer: Mapping[str, Any]) -> None:
        self._settings = settings
        self._scribe = scribe
        self._dedup = dedup
        self._producer = Producer(dict(producer))
        self.counts: Counter[str] = Counter()
        try:
            self._producer.init_transactions(INIT_TIMEOUT_S)
        except KafkaException as error:
            raise BrokerUnavailable(f"Kafka gave no transactional producer: {error_text(error)}") from error

    async def take(self, messages: list[QueueMessage]) -> None:
        """Everything these messages say is in Redis and Kafka when this returns."""
        events: list[SesEvent] = []
        records: list[Produced] = []
        for message in messages:
            try:
                event = read_event(message.body)
            except BadRecord as bad:
                self.counts["bad"] += 1
                records.append(self._scribe.bad_event(message.body, bad))
                continue
            if isinstance(event, Foreign):
                self.counts["foreign"] += 1
            else:
                events.append(event)
        proofs = [event for event in events if event.proves_acceptance]
        before = await self._dedup.prove([Item(e.key, e.attempt, message_id=e.message_id) for e in proofs])
        records += [self._scribe.event(event.key, event.body) for event in events]
        for event, claim in zip(proofs, before, strict=True):
            records += self._resolved(event, claim)
        self.counts["events"] += len(events)
        if records:
            await asyncio.to_thread(self._commit, records)

    def _resolved(self, event: SesEvent, before: Claim) -> list[Produced]:
        """The ledger's entry for an acceptance that nobody else will record."""
        if before.state is State.SENT and before.message_id != event.message_id and event.kind == "Send":
            log.error(Event.DUPLICATE_SEEN, key=str(event.key), message_id=event.message_id)
        if before.state not in IN_DOUBT:
            return []
        self.counts["resolved"] += 1
        log.info(Event.RESOLVED, key=str(event.key), attempt=event.attempt, evidence=event.kind)
        return [self._scribe.proven(event.key, event.attempt, event.message_id, event.kind)]

    def _commit(self, records: list[Produced]) -> None:
        try:
            self._producer.begin_transaction()
            for record in records:
                self._producer.produce(record.topic, record.value, record.key, headers=list(record.headers))
            self._producer.commit_transaction(COMMIT_TIMEOUT_S)
        except (KafkaException, BufferError) as error:
            # The messages stay in SQS and come again; nothing here needs to know how the transaction ended.
            raise BrokerUnavailable(f"Kafka did not take the events: {error_text(error)}; start again") from error


def gather(settings: Settings, version: str, now_ms: Callable[[], int], *, drain: bool) -> Counter[str]:
    """Runs until SIGTERM, or with `drain` until the queue is empty; returns counts by what the messages were."""
    return asyncio.run(_gather(settings, version, now_ms, drain=drain))


async def _gather(settings: Settings, version: str, now_ms: Callable[[], int], *, drain: bool) -> Counter[str]:
    queue = EventQueue(settings.events_queue_url)
    instance = settings.instance_name()
    client = connect(settings)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        await check_server(client)
        dedup = RedisDedup.of(settings, client)
        scribe = Scribe(settings.topics, instance, version, now_ms)
        config = transactional_config(settings, f"evidence-{instance}")
        evidence = await asyncio.to_thread(Evidence, settings, scribe, dedup, config)
        await _loop(queue, evidence, stopping, drain=drain)
        return evidence.counts
    finally:
        await client.aclose()


async def _loop(queue: EventQueue, evidence: Evidence, stopping: asyncio.Event, *, drain: bool) -> None:
    empty = 0
    while not stopping.is_set() and not (drain and empty >= EMPTY_RECEIVES):
        messages = await asyncio.to_thread(queue.receive, 1 if drain else WAIT_S)
        empty = 0 if messages else empty + 1
        if not messages:
            continue
        while not stopping.is_set():
            try:
                await evidence.take(messages)
                await asyncio.to_thread(queue.delete, messages)
                break
            except RedisUnavailable as error:
                log.warning(Event.REDIS_UNAVAILABLE, error=str(error))
                await asyncio.sleep(0.5)
