"""One of two processors is killed: how long until its partitions move mail again."""

from __future__ import annotations

import json
import signal
import time
from statistics import median

import msgspec

from benchmarks.bench import Bench, Command, say
from benchmarks.figure import Figure
from schemas.identity import read_place

__all__ = ["takeover"]

SESSION_S = 6.0
MAILS = 30_000
GRACE_S = 1.0
"""After the kill, what SES had already in hand may still be accepted."""


class _Accepted(msgspec.Struct):
    at_ms: int
    tags: dict[str, str]


def takeover(bench: Bench, rounds: int) -> list[Figure]:
    """kill -9 of one of two; its partitions are those that its log names."""
    seconds = [_once(bench) for _ in range(rounds)]
    return [
        Figure(
            "kill -9 of one of two until its partitions move mail again",
            median(seconds),
            "s",
            SESSION_S + 3,
            at_most=True,
            detail={"session_timeout_s": SESSION_S, "rounds": seconds},
        )
    ]


def _once(bench: Bench) -> float:
    bench.sandbox(latency_ms=50)
    month = bench.month()
    month.publish(MAILS)
    settings = {"MAILONCE_SESSION_TIMEOUT_S": str(SESSION_S), "MAILONCE_SES_TRANSPORT": "lean"}
    victim, heir = (month.start("process", "--instance", name, **settings) for name in ("victim", "heir"))
    try:
        while not (_partitions(victim) and _partitions(heir) and _partitions(victim).isdisjoint(_partitions(heir))):
            time.sleep(0.1)
        orphans = _partitions(victim)
        accepted = bench.count()
        while bench.count() < accepted + 500:
            time.sleep(0.05)
        victim.process.send_signal(signal.SIGKILL)
        killed_ms = time.time() * 1000
        while not (moved := _first_after(bench, orphans, killed_ms + GRACE_S * 1000)):
            time.sleep(0.2)
    finally:
        for command in (victim, heir):
            command.process.kill()
            command.process.wait()
    say(f"partitions {sorted(orphans)} move mail again after {(moved - killed_ms) / 1000:.1f} s")
    return (moved - killed_ms) / 1000


def _partitions(command: Command) -> set[int]:
    """What it owns now, by its log."""
    owned: set[int] = set()
    for line in command.log.splitlines():
        entry = json.loads(line)
        if entry["event"] == "partitions assigned":
            owned |= set(entry["partitions"])
        elif entry["event"] in {"partitions revoked", "partitions lost"}:
            owned -= set(entry["partitions"])
    return owned


def _first_after(bench: Bench, partitions: set[int], at_ms: float) -> float | None:
    """When the first message from these partitions was accepted after that time."""
    decode = msgspec.json.Decoder(_Accepted).decode
    with bench.record.open("rb") as lines:
        for line in lines:
            mail = decode(line)
            if mail.at_ms > at_ms and read_place(mail.tags).partition in partitions:
                return mail.at_ms
    return None
