"""A processor that meets a fault at a named step of the protocol.

``python -m tests.support.killer --at STEP --nth N [--signal STOP] [--broker PID] [--drain] [--instance NAME]``. It kills
itself there (SIGKILL) or stops itself (SIGSTOP: whoever started it continues it); or a broker inside a transaction; or
it loses a transaction's answer. The product's code is untouched: its ports are wrapped.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from processor.core.answers import Answer
from processor.core.states import Claim
from processor.ports import Forbidden, Item, Transaction
from processor.wiring import Ports, process
from schemas.runtime.errors import TransactionUnknown
from schemas.runtime.logs import configure_logs
from schemas.runtime.settings import load_settings

STEPS = (
    "before_intent_commit",
    "after_intent_commit",
    "after_claim",
    "inside_call",
    "after_answer",
    "after_note",
    "before_settling_commit",
    "after_settling_commit",
)
IN_TRANSACTION = "inside_transaction"
"""Between a transaction's records and its commit."""
DOUBTS = ("commit_lost", "commit_unanswered")
"""A transaction whose end the processor does not learn: it did not, or did, commit."""


class Killer:
    def __init__(
        self, at: str, nth: int, number: int = signal.SIGKILL, victim: int | None = None, stall_s: float = 0
    ) -> None:
        self._at = at
        self._left = nth
        self._number = number
        self._victim = victim
        self._stall_s = stall_s

    def due(self, step: str) -> bool:
        if step != self._at:
            return False
        self._left -= 1
        return self._left == 0

    def at(self, step: str) -> None:
        if self.due(step):
            self.strike()

    def strike(self) -> None:
        if self._stall_s:
            time.sleep(self._stall_s)  # the fault itself: the whole event loop stands still
        else:
            os.kill(self._victim or os.getpid(), self._number)


class Wrapped:
    """Passes everything on but what a subclass changes."""

    def __init__(self, inner: Any, killer: Killer) -> None:
        self._inner = inner
        self._killer = killer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class KillingLog(Wrapped):
    async def commit(self, transaction: Transaction) -> None:
        topics = {record.topic.rpartition("-")[2] for record in transaction.records}
        for kind, topic in (("intent", "attempts"), ("settling", "deliveries")):
            if topic in topics:
                self._killer.at(f"before_{kind}_commit")
        if self._killer.due("commit_lost"):
            raise TransactionUnknown("the test says so")
        await self._inner.commit(transaction)
        if self._killer.due("commit_unanswered"):
            raise TransactionUnknown("the test says so")
        for kind, topic in (("intent", "attempts"), ("settling", "deliveries")):
            if topic in topics:
                self._killer.at(f"after_{kind}_commit")


class KillingDedup(Wrapped):
    async def claim(self, items: Sequence[Item]) -> list[Claim]:
        claims: list[Claim] = await self._inner.claim(items)
        self._killer.at("after_claim")
        return claims

    async def note_sent(self, items: Sequence[Item]) -> list[Claim]:
        after: list[Claim] = await self._inner.note_sent(items)
        for _ in items:  # how many marks share a script depends on how busy the machine is
            self._killer.at("after_note")
        return after


class KillingSender(Wrapped):
    """For a fault inside a call no answer gets through from that call on: SES has them, the processor does not.

    The fault comes when every call that has begun is in that state.
    """

    def __init__(self, inner: Any, killer: Killer) -> None:
        super().__init__(inner, killer)
        self._begun = 0
        self._held: asyncio.Event | None = None

    async def send(self, request: Mapping[str, Any], forbidden: Forbidden) -> Answer:
        if self._killer.due("inside_call"):
            self._held = asyncio.Event()
        self._begun += 1
        try:
            answer: Answer = await self._inner.send(request, forbidden)
        finally:
            self._begun -= 1
        if held := self._held:
            if not self._begun:
                self._killer.strike()
                # Whoever is here again was only stopped: its answers come in now.
                self._held = None
                held.set()
            await held.wait()
        self._killer.at("after_answer")
        return answer


def strike_in_transactions(killer: Killer) -> None:
    """From now on every commit of the job log passes the killer first."""
    from processor.adapters import kafka_transactions

    class Producer(kafka_transactions.Producer):  # type: ignore[misc, name-defined]
        def commit_transaction(self, *args: Any) -> None:
            killer.at(IN_TRANSACTION)
            super().commit_transaction(*args)

    kafka_transactions.Producer = Producer  # type: ignore[misc, attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", required=True, choices=(*STEPS, *DOUBTS, IN_TRANSACTION))
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--signal", choices=("KILL", "STOP"), default="KILL")
    parser.add_argument("--broker", type=int, default=None)
    parser.add_argument("--stall", type=float, default=0)
    parser.add_argument("--commit-timeout", type=float, default=None)
    parser.add_argument("--drain", action="store_true")
    parser.add_argument("--instance", default=None)
    options = parser.parse_args()
    settings = load_settings(instance=options.instance)
    configure_logs(settings.log_format, settings.log_level)
    killer = Killer(options.at, options.nth, getattr(signal, f"SIG{options.signal}"), options.broker, options.stall)
    strike_in_transactions(killer)
    if options.commit_timeout:
        from processor.adapters import kafka_transactions

        kafka_transactions.COMMIT_TIMEOUT_S = options.commit_timeout

    def wrap(ports: Ports) -> Ports:
        return replace(
            ports,
            job_log=KillingLog(ports.job_log, killer),
            dedup=KillingDedup(ports.dedup, killer),
            sender=KillingSender(ports.sender, killer),
        )

    process(settings, drain=options.drain, wrap=wrap)


if __name__ == "__main__":
    main()
