"""How soon mail moves again: ``python -m benchmarks.recovery [--mails N] [--behind MONTHS] [--records N]``.

Redis killed and started again with its data in the middle of a month of so many mails, months of as many behind it;
the set made anew in an empty Redis; a jobs topic read ahead before anything is claimed. Written to
``benchmarks/results/recovery.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import redis

from benchmarks import rebuild, scan
from benchmarks.bench import MONTH, Bench, Command, Month, say
from benchmarks.figure import Figure, keep, show
from infra.embedded import Stack
from infra.embedded.service import stop
from schemas.identity import months_later
from schemas.runtime.settings import load_settings

__all__ = ["main"]

LATENCY_MS = 50
MOVING = 500
"""So many mails are out when Redis is killed."""
LIMIT_S = 600.0
"""What takes so long never comes: ten times what it takes where all months have to be read."""
T = TypeVar("T")


def restarted(bench: Bench, stack: Stack, month: Month, mails: int, behind: int) -> Figure:
    """From the first PONG of a Redis that came back with its data until SES accepts the next mail."""
    bench.sandbox(latency_ms=LATENCY_MS)
    say(f"writing {behind} months of {mails:,} outcomes")
    for back in range(1, behind + 1):
        rebuild.fill(bench.bootstrap, mails, f"{month.name}-deliveries", months_later(MONTH, -back))
    month.run("dedup", "rebuild")
    month.publish(mails)
    processor = month.start("process", "--instance", "p", MAILONCE_SES_TRANSPORT="lean")
    try:
        out = _awaited(lambda: (out := bench.count()) >= MOVING and out, f"{MOVING} mails", processor)
        if out >= mails:
            raise RuntimeError(f"all {mails:,} mails were out before Redis could be killed: ask for more")
        say(f"{out:,} mails are out: Redis is killed")
        server = stack.known()["valkey"]
        os.kill(server.pid, signal.SIGKILL)
        # One that is still giving its memory back would be taken for one that runs, and nobody would start another.
        stop(server)
        with ThreadPoolExecutor(1) as asking:
            asked = asking.submit(_pong_ms, server.port)
            stack.up(("valkey",))
            pong_ms = asked.result()
        say("Redis answers")
        moved = _awaited(
            lambda: [at_ms for at_ms in bench.times_ms() if at_ms > pong_ms], "a mail since Redis is back", processor
        )
        # One that is killed leaves a heartbeat and a transaction, which whoever comes next waits out.
        processor.process.terminate()
        processor.wait()
    finally:
        processor.process.kill()
        processor.process.wait()
    seconds = (min(moved) - pong_ms) / 1000
    about = {"mails": mails, "months_behind": behind, "rebuilds": processor.log.count('"dedup set rebuilt"')}
    what = f"Redis back with {behind} months of {mails:,} behind it: from its first PONG until mail moves again"
    return Figure(what, round(seconds, 2), "s", 5, at_most=True, detail=about)


def _awaited(look: Callable[[], T], what: str, processor: Command) -> T:
    """What `look` finds, once it does. Raises where that will not be: the processor has ended, or it takes too long."""
    until_s = time.monotonic() + LIMIT_S
    while not (found := look()):
        if processor.ended():
            raise RuntimeError(f"the processor ended before there was {what}: {processor.log[-2000:]}")
        if time.monotonic() > until_s:
            raise RuntimeError(f"there was not {what} within {LIMIT_S:g} s: {processor.log[-2000:]}")
        time.sleep(0.05)
    return found


def _pong_ms(port: int) -> float:
    """When the Redis at the port first answered. Raises its error where it does not come back."""
    until_s = time.monotonic() + LIMIT_S
    with redis.Redis(port=port, socket_timeout=1) as client:
        while True:
            try:
                client.ping()
            except redis.RedisError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.005)
            else:
                return time.time() * 1000


def emptied(stack: Stack, month: Month, entries: int) -> list[Figure]:
    """`mailonce dedup rebuild` into an empty Redis."""
    with redis.Redis(port=stack.known()["valkey"].port) as client:
        client.flushall()
    began = time.monotonic()
    usage = month.run("dedup", "rebuild")
    took_s, about = time.monotonic() - began, {"entries": entries}
    # Start, lineage and the wait for whoever was there are in it: it is not scaled.
    goal = 8 if entries >= 1_000_000 else None
    return [
        Figure(
            f"empty Redis, {entries:,} entries: the rebuild, the command's start included",
            took_s,
            "s",
            goal,
            True,
            about,
        ),
        Figure(f"empty Redis, {entries:,} entries: CPU", usage.cpu_s, "s", detail=about),
        Figure(f"empty Redis, {entries:,} entries: memory", usage.peak_mb, "MB", 150, True, about),
    ]


def scanned(month: Month, records: int) -> list[Figure]:
    """A jobs topic of one record a key, keys read alone."""
    os.environ.update(month.env)
    settings = load_settings()
    scan.fill(settings, 0, records)
    cpu_s = time.process_time()
    took_s, first_s, newest = asyncio.run(scan.scan(settings))
    cpu_s = time.process_time() - cpu_s
    a_million = 1_000_000 / records
    sieve = sum(reading.sieve.size for reading in newest._readings.values())
    about = {"records": records, "first_partition_s": round(first_s, 2)}
    return [
        Figure("look for newer records, a million", took_s * a_million, "s", 1.7, True, about),
        Figure("the same: CPU", cpu_s * a_million, "s", detail=about),
        Figure("the same: memory a pending job", sieve / records, "bytes", 16, True, about),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--mails", type=int, default=1_000_000, help="of each month (1,000,000)")
    parser.add_argument("--behind", type=int, default=10, help="months behind the present one (10)")
    parser.add_argument("--records", type=int, default=1_000_000, help="of the topic that is read ahead (1,000,000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), tied=True)
        stack.up(("kafka", "valkey", "ses"))
        try:
            bench = Bench(stack, Path(folder))
            figures = scanned(bench.month(), options.records)
            month = bench.month()
            figures.append(restarted(bench, stack, month, options.mails, options.behind))
            figures += emptied(stack, month, options.mails * options.behind)
        except subprocess.CalledProcessError as error:
            sys.exit(str(error.stderr))
        finally:
            stack.down()
    show(figures)
    say(f"written to {keep('recovery', figures)}")


if __name__ == "__main__":
    main()
