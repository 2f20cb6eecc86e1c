"""How long a rebuild and a verification of the dedup set take: ``python -m benchmarks.rebuild [ENTRIES]``.

Fills a ledger with sent mails, then runs the two commands as an operator would; prints seconds, peak memory of the
command and Redis bytes a mail.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis
from confluent_kafka import Producer

from infra.embedded import Stack
from schemas.codec import encode
from schemas.identity import Key
from schemas.records import Delivery, Outcome, Source

MONTH = "2026-11"


def fill(bootstrap: str, entries: int, topic: str = "email-deliveries", month: str = MONTH) -> None:
    producer = Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 50, "compression.type": "lz4"}
    )
    for n in range(entries):
        delivery = Delivery(
            outcome=Outcome.SENT,
            at_ms=1_795_567_311_696,
            source=Source("email-jobs", n % 12, n // 12, 1_795_567_298_100),
            instance="host-1-abc",
            fingerprint="09a1f9c81e",
            attempt="g1d-f0W3QzuH",
            message_id="000001a21026b71b-8893772d-366d-4862-85b5-df08c89a5c0e-000000",
            tries=1,
        )
        while True:
            try:
                producer.produce(topic, encode(delivery), Key(f"user-{n:08d}", month).to_bytes())
                break
            except BufferError:
                producer.poll(0.2)
    producer.flush()


def main() -> None:
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), tied=True)
        stack.up(("kafka", "valkey"))
        try:
            env = os.environ | stack.env()
            mailonce = [sys.executable, "-m", "mailonce"]
            subprocess.run([*mailonce, "topics", "create"], env=env, check=True, capture_output=True)
            fill(env["MAILONCE_KAFKA_BOOTSTRAP_SERVERS"], entries)
            results: dict[str, object] = {"entries": entries}
            for verb in ("rebuild", "verify"):
                began = time.monotonic()
                subprocess.run([*mailonce, "dedup", verb, "--json"], env=env, check=True, capture_output=True)
                results[f"{verb}_s"] = round(time.monotonic() - began, 1)
                # The largest child so far: verify needs more than rebuild.
                results[f"{verb}_peak_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
            client = redis.Redis.from_url(env["MAILONCE_REDIS_URL"])
            results["redis_bytes_per_mail"] = round(client.info("memory")["used_memory"] / entries, 1)  # type: ignore[index]
            client.close()
            print(json.dumps(results))
        finally:
            stack.down()


if __name__ == "__main__":
    main()
