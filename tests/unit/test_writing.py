"""Waiting for Kafka's acknowledgements: all of them, or as many as there are when the time is over."""

from __future__ import annotations

from typing import cast

import pytest
from confluent_kafka import Producer

from schemas.kafka.writing import SLICE_S, flush


class Acknowledging:
    """A producer whose records are acknowledged bit by bit."""

    def __init__(self, *left: int) -> None:
        self.left = list(left)

    def flush(self, timeout: float) -> int:
        assert timeout == SLICE_S
        return self.left.pop(0)


@pytest.mark.parametrize("left", [(0,), (2, 2, 1, 0)])
def test_it_waits_until_all_is_acknowledged(left: tuple[int, ...]) -> None:
    """Whoever says "published" has heard it of every record; the wait is in slices, so that Ctrl-C is heard."""
    producer = Acknowledging(*left)
    assert flush(cast(Producer, producer), 600) == 0
    assert not producer.left


def test_what_is_not_acknowledged_in_time_is_counted() -> None:
    """Without a broker the wait ends all the same."""
    producer = Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    for _ in range(3):
        producer.produce("mails", b"")
    assert flush(producer, 0) == 3
    producer.purge()
    assert flush(producer, 600) == 0
