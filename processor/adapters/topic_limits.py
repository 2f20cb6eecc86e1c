"""What the topics take and keep, as they are set now: asked once, when a processor starts."""

from __future__ import annotations

from typing import NamedTuple

from confluent_kafka.admin import AdminClient

from processor.adapters.topics import topic_configs
from processor.core.kept import FOR_EVER, Kept
from processor.core.letters import LETTER_BYTES_DEFAULT, LETTER_BYTES_MIN, OVERHEAD_BYTES
from schemas.kafka.clients import admin_config, transactional_config
from schemas.runtime.errors import BrokerUnavailable, UsageError
from schemas.runtime.settings import Settings

__all__ = ["LIMITS_DEFAULT", "TopicLimits", "refuse_lowered", "topic_limits"]

BATCH_BYTES_MAX = 1_000_000
"""librdkafka's default; a single record that is larger travels alone."""
_LIMITS = ("max.message.bytes", "segment.bytes")
"""Both are for a whole batch of a partition: Kafka takes none that is larger than a segment, either."""


class TopicLimits(NamedTuple):
    letter_bytes: int
    """how large a dead letter may be"""
    batch_bytes: int
    """how many bytes of a partition may travel together"""
    kept: Kept


LIMITS_DEFAULT = TopicLimits(LETTER_BYTES_DEFAULT, BATCH_BYTES_MAX, FOR_EVER)
"""By the limits of clients and topics where nobody changed them."""


def topic_limits(settings: Settings) -> TopicLimits:
    """By the topics' settings and our client's.

    Raises `UsageError`, with the setting's name, where not even a letter without its record would fit, and
    `BrokerUnavailable`.
    """
    topics = settings.topics
    admin = AdminClient(admin_config(settings))
    configs = topic_configs(admin, (topics.jobs, *topics.beside_jobs))
    client = int(transactional_config(settings, "")["message.max.bytes"])
    room = client
    for name in topics.beside_jobs:
        for limit in _LIMITS:
            allowed = min(int(configs[name][limit]), client)
            if allowed < LETTER_BYTES_MIN + OVERHEAD_BYTES:
                raise UsageError(_too_little(name, limit, allowed))
            room = min(room, allowed)
    letters = min(client, *(int(configs[topics.dead_letters][limit]) for limit in _LIMITS))
    batch = min(BATCH_BYTES_MAX, room - OVERHEAD_BYTES)
    return TopicLimits(letters - OVERHEAD_BYTES, batch, Kept.of(topics, configs))


def refuse_lowered(settings: Settings, limits: TopicLimits) -> None:
    """Raises `UsageError` where topics take less than `limits`: the same batch would be refused for ever."""
    try:
        now = topic_limits(settings)
    except BrokerUnavailable:
        return
    if now.batch_bytes < limits.batch_bytes or now.letter_bytes < limits.letter_bytes:
        raise UsageError(
            f"topics take less than when this processor was started: max.message.bytes or segment.bytes of "
            f"{', '.join(settings.topics.beside_jobs)} was lowered. Nothing of the batch was written. Start it again: "
            f"it makes smaller ones"
        )


def _too_little(topic: str, limit: str, allowed: int) -> str:
    return (
        f"topic {topic} ({limit}) or MAILONCE_KAFKA_MESSAGE_MAX_BYTES takes at most {allowed} bytes a message: a dead "
        f"letter needs {LETTER_BYTES_MIN + OVERHEAD_BYTES}; raise {limit} with kafka-configs"
    )
