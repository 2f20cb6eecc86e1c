"""confluent-kafka alone, for comparison: ``python -m benchmarks.bare consume|produce BOOTSTRAP TOPIC COUNT [CSV]``.

`consume` reads COUNT records in batches and looks at nothing. `produce` turns each row of a CSV file into a JSON record
with a key and produces it: the least that any producer does. Prints seconds from the first record to the last, as JSON.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from uuid import uuid4

import msgspec
from confluent_kafka import Consumer, Producer

__all__: list[str] = []


def consume(bootstrap: str, topic: str, count: int) -> float:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": uuid4().hex, "auto.offset.reset": "earliest"}
        | {"enable.auto.commit": False, "isolation.level": "read_committed"}
    )
    consumer.subscribe([topic])
    seen = len(consumer.consume(1, 60))
    began = time.monotonic()
    while seen < count:
        seen += len(consumer.consume(1000, 1.0))
    seconds = time.monotonic() - began
    consumer.close()
    return seconds


def produce(bootstrap: str, topic: str, path: str) -> float:
    began = time.monotonic()
    producer = Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 50}
        | {"compression.type": "lz4", "queue.buffering.max.messages": 1_000_000}
    )
    encode = msgspec.json.Encoder().encode
    with open(path, newline="") as rows:
        for row in csv.DictReader(rows):
            producer.produce(topic, encode(row), row["user_id"])
            producer.poll(0)
    producer.flush()
    return time.monotonic() - began


def main() -> None:
    what, bootstrap, topic, count, *rest = sys.argv[1:]
    seconds = consume(bootstrap, topic, int(count)) if what == "consume" else produce(bootstrap, topic, rest[0])
    print(json.dumps({"wall_s": seconds}))


if __name__ == "__main__":
    main()
