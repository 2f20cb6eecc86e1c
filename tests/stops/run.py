"""Many processors started and stopped, each a process of its own, forked from one that has imported everything."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import redis

from infra.embedded import Stack
from processor.adapters.redis import RedisDedup
from schemas.records import Outcome
from schemas.runtime import ending
from tests.support.sandbox import SandboxAdmin
from tests.support.world import World, job, make_world

__all__ = ["Plan", "Report", "run"]

PRELOADED = ["tests.stops.run", "processor.wiring", "mailonce.commands", "uvloop", "boto3"]
JOBS_A_DRAIN = 3
JOBS_A_TERM = 20
LATENCY_MS = 20
LAST_WORDS = 4000
UP_S = 120.0
"""A processor that has not started by then is a hang as well."""


@dataclass(frozen=True, slots=True)
class Plan:
    drains: int
    terms: int
    lanes: int = 3
    """processors at once, each with topics and a group of its own"""
    hang_s: float = 60.0
    refresh_s: float = 0.02
    seed: int = 1
    transport: str = "boto3"
    bare: bool = False
    """A task is cancelled once and awaited, as one would without `schemas.runtime.ending.end`: then it must hang."""


@dataclass
class Report:
    """What came of it."""

    took_s: dict[str, list[float]] = field(default_factory=lambda: {"drain": [], "term": []})
    """from the word `drained`, or from the signal, to the end of the process"""
    hung: list[str] = field(default_factory=list)
    left: Counter[tuple[str, int]] = field(default_factory=Counter)
    last_words: list[str] = field(default_factory=list)
    """of those that ended as they must not"""
    twice: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    lost: int = 0

    @property
    def wrong(self) -> list[str]:
        """What must not be."""
        found = [f"hung: {where}" for where in self.hung]
        found += [f"accepted twice: {key}" for key in self.twice]
        found += self.last_words
        if self.lost:
            found.append(f"{self.lost} jobs without an outcome")
        if others := sum(self.outcomes.values()) - self.outcomes[Outcome.SENT]:
            found.append(f"{others} outcomes that are not `sent`: {dict(self.outcomes)}")
        return found


def _is_right(kind: str, code: int) -> bool:
    # SIGTERM may come before anything of the product runs, that is before anybody handles it.
    return code == 0 or (kind == "term" and code == -signal.SIGTERM)


async def _bare_end(*tasks: asyncio.Task[Any], limit_s: float = 0) -> bool:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return True


def _mailonce(args: list[str], env: dict[str, str], log: str, bare: bool) -> None:
    """In the child: ``mailonce`` as its console script runs it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(env)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(out, descriptor)
    sys.argv = ["mailonce", *args]
    import mailonce

    if bare:
        for module in [module for module in sys.modules.values() if getattr(module, "end", None) is ending.end]:
            module.end = _bare_end  # type: ignore[attr-defined]
    try:
        mailonce.main()
    except SystemExit as left:
        ending.leave(int(left.code or 0))


@dataclass
class _Lane:
    """One processor after the other on the same topics."""

    name: str
    world: World
    plan: Plan
    report: Report
    forks: ForkServerContext
    lock: threading.Lock
    chance: random.Random
    runs: int = 0

    def drains(self, count: int) -> None:
        for _ in range(count):
            self._publish(JOBS_A_DRAIN)
            process, log = self._start("--drain")
            drained_s = self._said(process, log, "drained")
            self._note("drain", process, log, drained_s)

    def terms(self, count: int) -> None:
        for number in range(count):
            if number % 10 == 9:
                self._lose_marker()
            self._publish(JOBS_A_TERM)
            process, log = self._start()
            # A half at any moment of the start, a half while mail flows.
            if number % 2:
                self._said(process, log, "partitions assigned")
            time.sleep(self.chance.uniform(0, 0.6 if number % 2 else 2.5))
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGTERM)
            self._note("term", process, log, time.time())

    def _publish(self, count: int) -> None:
        self.world.publish(job(f"{self.name}-{self.runs}-{n}") for n in range(count))

    def _lose_marker(self) -> None:
        """The next start meets a dedup set that is to be rebuilt."""
        settings = self.world.settings
        with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
            client.delete(RedisDedup(None, settings.topic_prefix, 1).marker)  # type: ignore[arg-type]

    def _start(self, *args: str) -> tuple[ForkServerProcess, Path]:
        self.runs += 1
        log = self.world.folder / f"{self.runs}.log"
        env = self.world.env | {
            "MAILONCE_ACCOUNT_REFRESH_S": str(self.plan.refresh_s),
            "MAILONCE_SES_TRANSPORT": self.plan.transport,
            "MAILONCE_STOP_S": "10",
        }
        command = ["process", "--instance", self.name, *args]
        process = self.forks.Process(target=_mailonce, args=(command, env, str(log), self.plan.bare), daemon=True)
        process.start()
        return process, log

    def _said(self, process: ForkServerProcess, log: Path, event: str) -> float:
        """When the process said so; when it ended without it, or never said it, the time at which that was known."""
        by_s = time.monotonic() + UP_S
        while time.monotonic() < by_s:
            alive = process.is_alive()
            if (at := _at(log, event)) is not None:
                return at
            if not alive:
                break
            time.sleep(0.02)
        return time.time()

    def _note(self, kind: str, process: ForkServerProcess, log: Path, since_s: float) -> None:
        process.join(self.plan.hang_s)
        took_s = time.time() - since_s
        with self.lock:
            self.report.took_s[kind].append(took_s)
            if process.exitcode is None:
                self.report.hung.append(f"{kind}, pid {process.pid}, {log}: {log.read_text()[-600:]}")
                process.kill()
                process.join()
            else:
                self.report.left[kind, process.exitcode] += 1
                if _is_right(kind, process.exitcode):
                    log.unlink(missing_ok=True)
                else:
                    said = log.read_text()[-LAST_WORDS:] if log.exists() else ""
                    self.report.last_words.append(f"{kind} ended with {process.exitcode}: {said}")


def _at(log: Path, event: str) -> float | None:
    for line in log.read_text().splitlines() if log.exists() else ():
        if f'"event": "{event}"' in line and line.endswith("}"):
            return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
    return None


def run(stack: Stack, sandbox: SandboxAdmin, folder: Path, plan: Plan, tell: Callable[[str], None] = print) -> Report:
    """Runs the plan on servers that are up, then holds SES's record against the ledger."""
    report, lock = Report(), threading.Lock()
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(PRELOADED)
    lanes = []
    for number in range(plan.lanes):
        place = folder / f"lane{number}"
        place.mkdir()
        world = make_world(stack.env(), sandbox, place)
        chance = random.Random(plan.seed * 1000 + number)
        lanes.append(_Lane(f"l{number}", world, plan, report, forks, lock, chance))
    sandbox.set(latency_ms=LATENCY_MS)
    for kind, count in (("drains", plan.drains), ("terms", plan.terms)):
        shares = [len(range(number, count, plan.lanes)) for number in range(plan.lanes)]
        with ThreadPoolExecutor(plan.lanes) as pool:
            for done in [pool.submit(getattr(lane, kind), share) for lane, share in zip(lanes, shares, strict=True)]:
                done.result()
        tell(f"{kind}: {count} done")
    _audit(lanes, sandbox, report)
    return report


def _audit(lanes: list[_Lane], sandbox: SandboxAdmin, report: Report) -> None:
    """What SIGTERM left is sent; then each job has one outcome, and SES took each once."""
    sandbox.set(latency_ms=0)
    for lane in lanes:
        lane.drains(1)
        outcomes = lane.world.deliveries()
        report.outcomes.update(entries[-1].outcome for entries in outcomes.values())
        report.lost += len(lane.world.published - set(outcomes))
    report.twice = [str(key) for key, mails in sandbox.by_key().items() if len(mails) > 1]
