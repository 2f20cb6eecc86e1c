"""What looking for newer records costs a processor: ``python -m benchmarks.scan [RECORDS]``.

Fills a jobs topic, reads it as a processor does before it claims, and prints seconds a million records and bytes a
record; once with keys of one record each, once with every tenth corrected.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from infra.embedded import Stack
from processor.adapters.kafka_scan import KafkaScan
from processor.core.newest import Look, Newest
from schemas.codec import encode
from schemas.kafka.clients import admin_config
from schemas.kafka.ends import end_offsets
from schemas.kafka.reading import partition_numbers
from schemas.records import Job
from schemas.runtime.settings import Settings, load_settings

MONTH = "2026-11"


def fill(settings: Settings, first: int, count: int, step: int = 1) -> None:
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "partitioner": "murmur2_random",
            "linger.ms": 50,
            "compression.type": "lz4",
        }
    )
    for number in range(first, first + count, step):
        user = f"user-{number:08d}"
        data = {"name": f"User {number}", "usage": "42", "address": "1 Long Street, Some Town"}
        job = Job(v=1, user_id=user, month=MONTH, email=f"{user}@mail.example.net", template="monthly", data=data)
        while True:
            try:
                producer.produce(settings.topics.jobs, encode(job), f"{user}:{MONTH}".encode())
                break
            except BufferError:
                producer.poll(0.2)
    producer.flush()


async def scan(settings: Settings) -> tuple[float, float, Newest]:
    """Seconds until all is known, and until the first partition is."""
    numbers = partition_numbers(settings, settings.topics.jobs)
    ends = end_offsets(AdminClient(admin_config(settings)), settings.topics.jobs, numbers)
    newest, log = Newest(), KafkaScan(settings)
    began, first = time.monotonic(), 0.0
    newest.assign(dict.fromkeys(numbers, 0))
    newest.aim(newest.endless(), ends)
    while newest.unread:
        readings = newest.readings()
        found = await log.scan({p: Look(r.position, r.sieve) for p, r in readings.items()}, 0.3)
        if newest.take(readings, found.records, found.positions):
            first = first or time.monotonic() - began
    took = time.monotonic() - began
    await log.stop()
    return took, first, newest


def measured(settings: Settings, records: int) -> dict[str, float]:
    took, first, newest = asyncio.run(scan(settings))
    again = sum(len(reading.newest) for reading in newest._readings.values())
    sieves = sum(reading.sieve.size for reading in newest._readings.values())
    return {
        "s_a_million": round(took / records * 1_000_000, 2),
        "first_partition_s": round(first, 2),
        "sieve_bytes_a_record": round(sieves / records, 1),
        "keys_kept": again,
    }


def kept_bytes(keys: int = 100_000) -> float:
    """Of one key that came again: itself and its offset."""
    tracemalloc.start()
    kept = {f"user-{number:08d}:{MONTH}".encode(): 10_000_000 + number for number in range(keys)}
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(size / len(kept), 1)


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), tied=True)
        stack.up(("kafka",))
        try:
            os.environ.update(stack.env())
            subprocess.run([sys.executable, "-m", "mailonce", "topics", "create"], check=True, capture_output=True)
            settings = load_settings()
            fill(settings, 0, records)
            results: dict[str, object] = {"records": records, "once": measured(settings, records)}
            fill(settings, 0, records, 10)
            results["a_tenth_corrected"] = measured(settings, records + records // 10)
            results["bytes_a_key_kept"] = kept_bytes()
            print(json.dumps(results))
        finally:
            stack.down()


if __name__ == "__main__":
    main()
