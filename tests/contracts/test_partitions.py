"""Our own murmur2 against librdkafka's ``murmur2_random`` on a real broker."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Producer

from schemas.identity import Key
from schemas.kafka.clients import producer_config
from schemas.partitions import partition_of
from tests.support.world import MONTH, WAIT_S, World

USERS = (
    "jürgen",
    "利用者",
    "نمی\u200cدانم",
    "Ω",
    "é",
    "e\u0301",
    "👩🏽\u200d🚀",
    "\U0010ffff",
    "ß:ß",
    "a\u0000b",
    "x" * 180 + "ž",
)
"""Of two, three and four bytes a character, joined, with signs that count as negative bytes elsewhere."""


def test_keys_of_any_script_stand_where_librdkafka_puts_them(world: World) -> None:
    """G1: whoever wrote the record, it is looked for in the partition where it stands."""
    keys = [Key(f"{user}{'-' * more}", MONTH).to_bytes() for user in USERS for more in range(8)]
    told: dict[bytes, int] = {}

    def delivered(error: Any, message: Any) -> None:
        assert error is None
        told[message.key()] = message.partition()

    producer = Producer(producer_config(world.settings))
    for key in keys:
        producer.produce(world.settings.topics.jobs, None, key, on_delivery=delivered)
    assert producer.flush(WAIT_S) == 0
    assert told == {key: partition_of(key, world.settings.partitions) for key in keys}
    assert set(told.values()) == set(range(world.settings.partitions)), "they are spread over all"
