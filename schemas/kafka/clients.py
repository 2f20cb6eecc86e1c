"""librdkafka's settings as plain dicts; options that carry the guarantee are written out even where they are defaults.

The user's own options (`MAILONCE_KAFKA_*`) come first; what the guarantee rests on cannot be overridden.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from confluent_kafka import KafkaError

from schemas.kafka.msk import msk_options
from schemas.runtime.secrets import told_by_librdkafka
from schemas.runtime.settings import Settings

__all__ = [
    "CLIENT_ID",
    "FOLLOWS",
    "MESSAGE_BYTES_MAX",
    "admin_config",
    "jobs_consumer_config",
    "last_trouble",
    "producer_config",
    "reader_config",
    "standing_still_s",
    "transactional_config",
]

CLIENT_ID = "mailonce"

_troubles: deque[str] = deque(maxlen=1)
"""What librdkafka last said about logging in: its calls themselves only run out of time."""
_TOLD = {KafkaError._AUTHENTICATION, KafkaError._SSL}


def _note(error: KafkaError) -> None:
    if error.code() in _TOLD:
        _troubles.append(told_by_librdkafka(error.str()))


def last_trouble() -> str:
    """Why the last connection could not be made, if librdkafka told; clients tell in their `poll`."""
    return _troubles[0] if _troubles else ""


def _common(settings: Settings, client_id: str = CLIENT_ID) -> dict[str, Any]:
    _troubles.clear()
    auth = msk_options(os.environ.get("AWS_REGION", "")) if settings.kafka_auth == "msk-iam" else {}
    return {
        "client.id": client_id,
        # Lost connections heal or come back as errors of a call; librdkafka would print each on standard error.
        "log_level": 2,
        "error_cb": _note,
        # Reconnecting quickly costs little with few clients and shortens every broker restart.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 2000,
        **settings.kafka_options,
        **auth,
        "bootstrap.servers": settings.kafka_bootstrap_servers,
    }


def admin_config(settings: Settings) -> dict[str, Any]:
    return _common(settings)


MESSAGE_BYTES_MAX = 16_777_216
"""What our clients write at most; the topics' own limits are smaller unless somebody raised them."""


def producer_config(settings: Settings) -> dict[str, Any]:
    """The job publisher: idempotent, and keyed as Java and Faust do it."""
    return {
        "linger.ms": 20,
        "compression.type": "lz4",
        "queue.buffering.max.messages": 200_000,
        "message.max.bytes": MESSAGE_BYTES_MAX,
        **_common(settings),
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
    }


def transactional_config(settings: Settings, instance: str) -> dict[str, Any]:
    """The processor's producer: one transaction a batch."""
    return {
        # The broker ends a dead processor's open transaction after this; until then nobody can read past it.
        "transaction.timeout.ms": 15_000,
        "linger.ms": 0,
        # A back-to-back transaction finds the last one's markers still being written and is told to retry:
        # librdkafka's default of 100 ms would be the price of each commit.
        "retry.backoff.ms": 5,
        "message.max.bytes": MESSAGE_BYTES_MAX,
        **_common(settings),
        "transactional.id": f"{settings.topic_prefix}{settings.group_id}-{instance}",
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
        "acks": "all",
    }


def jobs_consumer_config(settings: Settings, instance: str) -> dict[str, Any]:
    """The processor's consumer: offsets only by transaction, aborted records invisible."""
    classic: dict[str, Any] = {
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": int(settings.session_timeout_s * 1000),
        "heartbeat.interval.ms": int(settings.session_timeout_s * 1000 / 5),
    }
    return {
        # Read-ahead: librdkafka fetches while a batch is being sent.
        "queued.min.messages": 5_000,
        "queued.max.messages.kbytes": 16_384,
        # A fetch brings so much of each partition, compressed: a backlog of a million jobs must not be memory.
        "fetch.message.max.bytes": 131_072,
        "fetch.queue.backoff.ms": 10,
        # With session and transaction time-outs less than an attempt's lifetime: what settles later is refused.
        "max.poll.interval.ms": 120_000,
        "fetch.wait.max.ms": 100,
        **(classic if settings.group_protocol == "classic" else {}),
        **_common(settings, f"{CLIENT_ID}-{instance}"),
        "group.id": settings.group_id,
        "group.protocol": settings.group_protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # A log that does not hold the place to be read is told of, not passed over: the window must begin anew with it.
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        # Markers and compaction leave gaps: only this event tells that a partition's end was reached.
        "enable.partition.eof": True,
    }


BROKERS_SESSION_MS = 45_000
"""``group.consumer.session.timeout.ms`` of the brokers, which counts with the consumer protocol: Kafka's default."""


def standing_still_s(settings: Settings) -> tuple[float, float, float]:
    """How long Kafka bears a processor that stands still: between polls, silent, in a transaction; seconds each."""
    consumer = jobs_consumer_config(settings, "any")
    times = (
        consumer["max.poll.interval.ms"],
        consumer["session.timeout.ms"] if settings.group_protocol == "classic" else BROKERS_SESSION_MS,
        transactional_config(settings, "any")["transaction.timeout.ms"],
    )
    poll_s, session_s, transaction_s = (int(ms) / 1000 for ms in times)
    return poll_s, session_s, transaction_s


FOLLOWS = {"fetch.wait.max.ms": 100}
"""Of a reader that stays: at the end Kafka answers it ten times a second, or as soon as there is something."""


def reader_config(settings: Settings, *, group: str = "mailonce-reader") -> dict[str, Any]:
    """A reader that joins no group and commits nothing: commands that look at topics."""
    return {
        # An empty partition's end is told by the first answer: half a second each would add up.
        "fetch.wait.max.ms": 10,
        # Readers walk whole topics: what waits unread in memory is bounded, whatever the topic's size.
        "queued.min.messages": 5_000,
        "queued.max.messages.kbytes": 8_192,
        "fetch.message.max.bytes": 262_144,
        # The default of a second would be a pause each time the reader catches up with what was fetched.
        "fetch.queue.backoff.ms": 10,
        **_common(settings),
        # They belong to members of a group; an option meant for processors must not break a reader.
        "session.timeout.ms": 45_000,
        "max.poll.interval.ms": 300_000,
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
    }
