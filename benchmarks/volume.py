"""A million jobs: a processor's memory, Redis's, the replay of what is settled, and the producer."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from uuid import uuid4

import duckdb
import redis
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.bench import MONTH, Bench, Command, Month, say
from benchmarks.figure import Figure

__all__ = ["producer", "volume"]

SIZES = (10_000, 100_000, 1_000_000)
MANY = SIZES[-1]


@dataclass(frozen=True, slots=True)
class Grown:
    """What a month of so many jobs took."""

    jobs: int
    seconds: float
    """of the processor, from its start to its end"""
    peak_mb: float
    redis_bytes: int
    kafka_bytes: int
    """jobs, intents and outcomes, on one broker"""


def volume(bench: Bench, rounds: int) -> list[Figure]:
    """Months of three sizes with a call that costs nothing, and the largest one again by another group."""
    months = [bench.month() for _ in SIZES]
    curve = [_grow(bench, month, jobs) for month, jobs in zip(months, SIZES, strict=True)]
    for grown in curve:
        say(f"{grown}")
    _, few, many = curve
    again = [_replay(months[-1]) for _ in range(rounds)]
    bare = [_bare(bench, "consume", f"{months[-1].name}-jobs", str(MANY)) for _ in range(rounds)]
    replayed, read = MANY / median(again), MANY / median(bare)
    say(f"replay {replayed:,.0f}/s, a bare consumer {read:,.0f}/s")
    detail = {"curve": [asdict(grown) for grown in curve]}
    return [
        Figure("memory of a processor, 1,000,000 jobs", many.peak_mb, "MB", 150, at_most=True, detail=detail),
        Figure("memory with 1,000,000 jobs against 100,000", many.peak_mb / few.peak_mb, "x", 1.1, at_most=True),
        Figure("Redis memory a mail", many.redis_bytes / MANY, "bytes", 48, at_most=True),
        Figure("replay of 1,000,000 settled jobs", replayed, "jobs/s", 60_000),
        Figure("the replay against a bare consumer", replayed / read, "x", 0.5, detail={"bare_per_s": round(read)}),
    ]


def _grow(bench: Bench, month: Month, jobs: int) -> Grown:
    redis_before, kafka_before = _redis_bytes(bench), _kafka_bytes(bench)
    month.publish(jobs)
    began = time.monotonic()
    peak_mb = Command(month.env, "benchmarks.noop").wait().peak_mb
    seconds = time.monotonic() - began
    return Grown(jobs, seconds, peak_mb, _redis_bytes(bench) - redis_before, _kafka_bytes(bench) - kafka_before)


def _kafka_bytes(bench: Bench) -> int:
    """What the broker's segments hold; their indexes are allocated ahead and would hide it."""
    return sum(segment.stat().st_size for segment in bench.folder.rglob("*.log") if segment.stem.isdigit())


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
    """A million rows of a CSV and of a Parquet file; each run into topics of its own."""
    users, columns = bench.folder / "users.csv", bench.folder / "users.parquet"
    curve = []
    for rows in (*SIZES[:-1], 10 * MANY):
        _write_users(users, rows)
        seconds, peak_mb = _produce(bench, users)
        curve.append({"rows": rows, "seconds": round(seconds, 2), "peak_mb": round(peak_mb)})
        say(f"{curve[-1]}")
    _write_users(users, MANY)
    duckdb.sql(f"COPY (FROM read_csv('{users}', all_varchar=true)) TO '{columns}' (FORMAT parquet)")
    ours, parquet, bare, peaks = [], [], [], []
    for _ in range(rounds):
        seconds, peak_mb = _produce(bench, users)
        ours.append(seconds)
        peaks.append(peak_mb)
        parquet.append(_produce(bench, columns)[0])
        topic = f"bare-{uuid4().hex[:8]}"
        admin = AdminClient({"bootstrap.servers": bench.bootstrap})
        admin.create_topics([NewTopic(topic, 12, 1)])[topic].result(30)
        bare.append(_bare(bench, "produce", topic, "0", str(users)))
        say(f"CSV {MANY / ours[-1]:,.0f} rows/s, Parquet {MANY / parquet[-1]:,.0f}/s, bare {MANY / bare[-1]:,.0f}/s")
    curve.insert(-1, {"rows": MANY, "seconds": round(median(ours), 2), "peak_mb": round(median(peaks))})
    detail = {"rows_per_s": round(MANY / median(ours)), "bare_per_s": round(MANY / median(bare)), "curve": curve}
    of_parquet = {"rows_per_s": round(MANY / median(parquet))}
    against = "against a bare produce loop"
    return [
        Figure(f"producer from CSV {against}", median(bare) / median(ours), "x", 0.6, detail=detail),
        Figure(f"producer from Parquet {against}", median(bare) / median(parquet), "x", 0.6, detail=of_parquet),
    ]


def _produce(bench: Bench, users: Path) -> tuple[float, float]:
    """Seconds and megabytes at the peak."""
    month = bench.month()
    began = time.monotonic()
    command = month.start("produce", "--month", MONTH, "--yes", "--source", str(users), "--template", "bench").wait()
    return time.monotonic() - began, command.peak_mb


def _write_users(path: Path, count: int) -> None:
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["user_id", "email", "name", "usage", "plan", "device"])
        rows.writerows(
            (f"u{n}", f"u{n}@mail.example.net", f"User {n}", "42", "Plus", "Heat pump") for n in range(count)
        )
