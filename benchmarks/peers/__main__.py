"""mailonce beside what users would pick instead: ``python -m benchmarks.peers [--only NAME…] [--mails 1000]``.

First a month without faults: mails a second and CPU a mail of the workers. Then a month in which every hundredth answer
of SES is lost, and the worker is killed (SIGKILL) at half and started again. Who got the mail twice, and who never, is
counted in the SES sandbox's own record. Needs ``requirements-bench.lock``.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from tempfile import TemporaryFile
from typing import Any
from uuid import uuid4

import msgspec
import psutil
from rich.table import Table

from benchmarks.bench import MONTH, Bench, Command, a_bench, say
from benchmarks.figure import Figure, keep

__all__ = ["main"]

PEERS = {
    "lambda_loop": "loop in a Lambda",
    "celery_redis": "Celery, Redis, SET NX guard",
    "plain_kafka": "Kafka consumer, auto-commit",
    "faust_agent": "Faust agent",
    "dbos_queue": "DBOS queue, SQLite",
    "sqs_worker": "SQS worker (moto)",
    "mailonce": "mailonce, lean transport",
}
IDLE_S = 25.0
"""So long without a mail: nothing comes any more (visibility and session time-outs are 10 s)."""
LOST_SHARE = 0.01


class _Accepted(msgspec.Struct):
    at_ms: int
    to: list[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a month."""

    duplicates: int
    never: int
    """mails that SES did not accept"""
    held: int = 0
    """of these, those that are shown as uncertain"""


class Peer:
    """One peer's month: fed, worked, killed, worked again."""

    def __init__(self, bench: Bench, name: str, mails: int) -> None:
        self._bench = bench
        self._mails = mails
        self._module = f"benchmarks.peers.{name}"
        queue = f"peer-{uuid4().hex[:8]}"
        self._env = (
            os.environ
            | bench.env
            | {
                "PEER_NAME": queue,
                "PEER_FOLDER": str(bench.folder),
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        )
        self._child: subprocess.Popen[bytes] | None = None
        self._log = TemporaryFile()  # noqa: SIM115 - as long as it

    def feed(self) -> None:
        code = f"import {self._module} as peer; peer.feed({self._mails})"
        subprocess.run([sys.executable, "-c", code], env=self._env, check=True, stderr=self._log)

    def start(self) -> None:
        code = f"import {self._module} as peer; peer.work()"
        self._child = subprocess.Popen(
            [sys.executable, "-c", code],
            env=self._env,
            start_new_session=True,
            stdout=self._log,
            stderr=self._log,
        )

    def check(self) -> None:
        """Raises when the worker is gone."""
        if self._child is not None and self._child.poll() not in {None, 0}:
            self._log.seek(0)
            raise RuntimeError(self._log.read().decode()[-3000:])

    def cpu_s(self) -> float:
        """Of the worker and of what it started."""
        assert self._child is not None
        try:
            worker = psutil.Process(self._child.pid)
            times = [process.cpu_times() for process in (worker, *worker.children(recursive=True))]
        except psutil.NoSuchProcess:
            return 0.0
        return float(sum(one.user + one.system for one in times))

    def kill(self) -> None:
        if self._child is not None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def held(self) -> int:
        return 0


class Mailonce(Peer):
    """The product, with time-outs as short as the peers'."""

    def __init__(self, bench: Bench, _name: str, mails: int) -> None:
        super().__init__(bench, "mailonce", mails)
        self._month = bench.month()
        self._env = self._month.env | {
            "MAILONCE_SES_TRANSPORT": "lean",
            "MAILONCE_SESSION_TIMEOUT_S": "6",
            "MAILONCE_SES_READ_TIMEOUT_S": "5",
            "MAILONCE_START_WINDOW_S": "2",
            "MAILONCE_SIGNATURE_AGE_S": "10",
            "MAILONCE_ATTEMPT_LIFETIME_S": "15",
        }

    def feed(self) -> None:
        self._month.publish(self._mails)

    def start(self) -> None:
        command = Command(self._env, "mailonce", "process", own_session=True)
        self._child, self._log = command.process, command.complaint

    def held(self) -> int:
        status = self._month.run("status", "--month", MONTH, "--json")
        found: dict[str, Any] = msgspec.json.decode(status.said)
        return int(found["uncertain"])


def clean(bench: Bench, peer: Peer, mails: int) -> tuple[float, float]:
    """Mails a second and CPU a mail, from a fifth of the month to its end."""
    bench.sandbox()
    peer.feed()
    peer.start()
    while (warm := bench.count()) < mails // 5:
        peer.check()
        time.sleep(0.02)
    cpu = peer.cpu_s()
    _settle(bench, mails)
    used = peer.cpu_s() - cpu
    peer.kill()
    times = bench.times_ms()
    return (len(times) - warm) / (times[-1] - times[warm]) * 1000, used / (len(times) - warm) * 1e6


def faulty(bench: Bench, peer: Peer, mails: int) -> Outcome:
    """Lost answers, and a SIGKILL at half."""
    bench.sandbox()
    bench.admin("POST", "faults", {"kind": "accept_drop", "probability": LOST_SHARE, "seed": 1})
    peer.feed()
    peer.start()
    while bench.count() < mails // 2:
        peer.check()
        time.sleep(0.01)
    peer.kill()
    peer.start()
    _settle(bench, None)
    peer.kill()
    bench.admin("DELETE", "faults")
    decode = msgspec.json.Decoder(_Accepted).decode
    with bench.record.open("rb") as lines:
        counts = Counter(decode(line).to[0] for line in lines)
    never = mails - len(counts)
    return Outcome(sum(counts.values()) - len(counts), never, min(never, peer.held()))


def _settle(bench: Bench, mails: int | None) -> None:
    """Until so many are accepted, or nothing comes any more."""
    count, since = bench.count(), time.monotonic()
    while time.monotonic() - since < IDLE_S and (mails is None or count < mails):
        time.sleep(0.05)
        if (now := bench.count()) != count:
            count, since = now, time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--mails", type=int, default=1000)
    options = parser.parse_args()
    table = Table("", "mails/s", "CPU µs/mail", "twice", "never", "of these held, shown")
    figures = []
    with a_bench("kafka", "valkey", "ses", "sqs") as bench:
        for name in options.only:
            make = Mailonce if name == "mailonce" else Peer
            if name != "mailonce":
                import_module(f"benchmarks.peers.{name}")
            per_s, cpu_us = clean(bench, make(bench, name, options.mails), options.mails)
            outcome = faulty(bench, make(bench, name, options.mails), options.mails)
            say(f"{PEERS[name]}: {per_s:,.0f}/s, {cpu_us:,.0f} µs; {outcome}")
            cells = (per_s, cpu_us, outcome.duplicates, outcome.never, outcome.held)
            table.add_row(PEERS[name], *(f"{cell:,.0f}" for cell in cells))
            detail = {
                "cpu_us_per_mail": round(cpu_us),
                "duplicates": outcome.duplicates,
                "never": outcome.never,
                "held": outcome.held,
            }
            figures.append(Figure(PEERS[name], per_s, "mails/s", detail=detail))
    say(table)
    say(f"written to {keep('peers', figures)}")


if __name__ == "__main__":
    main()
