"""What all who write to Kafka do alike."""

from __future__ import annotations

import time

from confluent_kafka import Producer

__all__ = ["flush"]

SLICE_S = 0.5
"""Ctrl-C is heard between two calls of librdkafka's, not inside one."""


def flush(producer: Producer, limit_s: float) -> int:
    """Waits until everything is acknowledged, at most `limit_s`; returns how many records are not."""
    by_s = time.monotonic() + limit_s
    while (left := producer.flush(SLICE_S)) and time.monotonic() < by_s:
        continue
    return left
