"""A million jobs: a processor's memory, Redis's, the replay of what is settled, and the producer."""

from __future__ import annotations

import csv
import json
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from uuid import uuid4

import redis
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.bench import MONTH, Bench, Command, Month, say
from benchmarks.figure import Figure

__all__ = ["producer", "volume"]

FEW, MANY = 100_000, 1_000_000


def volume(bench: Bench, rounds: int) -> list[Figure]:
    """Months of two sizes with a call that costs nothing, and the larger one again by another group."""
    small = _peak_mb(bench.month(), FEW)
    before = _redis_bytes(bench)
    month = bench.month()
    large = _peak_mb(month, MANY)
    per_mail = (_redis_bytes(bench) - before) / MANY
    say(f"processor: {small:.0f} MB with {FEW:,} jobs, {large:.0f} MB with {MANY:,}; Redis {per_mail:.1f} bytes a mail")
    again = [_replay(month) for _ in range(rounds)]
    bare = [_bare(bench, "consume", f"{month.name}-jobs", str(MANY)) for _ in range(rounds)]
    replayed, read = MANY / median(again), MANY / median(bare)
    say(f"replay {replayed:,.0f}/s, a bare consumer {read:,.0f}/s")
    return [
        Figure("memory of a processor, 1,000,000 jobs", large, "MB", 150, at_most=True),
        Figure("memory with 1,000,000 jobs against 100,000", large / small, "x", 1.1, at_most=True),
        Figure("Redis memory a mail", per_mail, "bytes", 48, at_most=True),
        Figure("replay of 1,000,000 settled jobs", replayed, "jobs/s", 60_000),
        Figure("the replay against a bare consumer", replayed / read, "x", 0.5, detail={"bare_per_s": round(read)}),
    ]


def _peak_mb(month: Month, jobs: int) -> float:
    month.publish(jobs)
    return Command(month.env, "benchmarks.noop").wait().peak_mb


def _redis_bytes(bench: Bench) -> int:
    with redis.Redis.from_url(bench.env["MAILONCE_REDIS_URL"]) as client:
        used: int = client.info("memory")["used_memory"]  # type: ignore[index]
        return used


def _replay(month: Month) -> float:
    """Seconds from the partitions to the end, by the processor's own log."""
    command = month.start("process", "--drain", "--instance", "replay", MAILONCE_GROUP_ID=uuid4().hex)
    command.wait()
    times = {}
    for line in command.log.splitlines():
        entry = json.loads(line)
        times[entry["event"]] = datetime.fromisoformat(entry["timestamp"])
    return (times["drained"] - times["partitions assigned"]).total_seconds()


def _bare(bench: Bench, what: str, topic: str, *arguments: str) -> float:
    command = Command(bench.env, "benchmarks.bare", what, bench.bootstrap, topic, *arguments)
    seconds: float = json.loads(command.wait().said)["wall_s"]
    return seconds


def producer(bench: Bench, rounds: int) -> list[Figure]:
    """A million rows of a CSV file; each run into topics of its own."""
    users = bench.folder / "users.csv"
    _write_users(users)
    ours, bare = [], []
    for _ in range(rounds):
        month = bench.month()
        arguments = ("--month", MONTH, "--source", str(users), "--template", "bench")
        began = time.monotonic()
        month.run("produce", *arguments)
        ours.append(time.monotonic() - began)
        topic = f"bare-{uuid4().hex[:8]}"
        admin = AdminClient({"bootstrap.servers": bench.bootstrap})
        admin.create_topics([NewTopic(topic, 12, 1)])[topic].result(30)
        bare.append(_bare(bench, "produce", topic, "0", str(users)))
        say(f"producer {MANY / ours[-1]:,.0f} rows/s, bare {MANY / bare[-1]:,.0f}/s")
    detail = {"rows_per_s": round(MANY / median(ours)), "bare_per_s": round(MANY / median(bare))}
    return [
        Figure("producer from CSV against a bare produce loop", median(bare) / median(ours), "x", 0.6, detail=detail)
    ]


def _write_users(path: Path) -> None:
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["user_id", "email", "name", "usage", "plan", "device"])
        rows.writerows((f"u{n}", f"u{n}@mail.example.net", f"User {n}", "42", "Plus", "Heat pump") for n in range(MANY))
