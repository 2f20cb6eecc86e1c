"""A processor's parts put together, whatever its ports are: servers (`processor.wiring`), or twins in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from processor.core.breaker import Breaker
from processor.core.engine import Engine
from processor.core.gates import Gates
from processor.core.outage import Outage
from processor.core.pace import Limits
from processor.core.suspects import Suspects
from processor.core.ticket import Attempt
from processor.ports import Clock, Dedup, JobLog, Letters, Outcomes, Pace, Sender, Templates
from processor.shell.after_commit import AfterCommit
from processor.shell.ahead import LookAhead
from processor.shell.allowance import Allowance
from processor.shell.attempts import Attempts
from processor.shell.back_pressure import BackPressure
from processor.shell.bars import Bars
from processor.shell.brake import BrakeLever
from processor.shell.calls import Calls
from processor.shell.canary import CanaryGate
from processor.shell.control import Months, Permission
from processor.shell.deliver import Deliverer
from processor.shell.drain import Drain
from processor.shell.intake import Intake, IntakeConfig
from processor.shell.judge import Judge
from processor.shell.ledger import Scribe
from processor.shell.past import Past
from processor.shell.pulse import Pulse
from processor.shell.rebalances import Rebalances
from processor.shell.scan import Scan
from processor.shell.transactions import Transactions
from processor.shell.worker import Worker
from processor.telemetry.meter import Meter
from schemas.runtime.settings import Settings

__all__ = ["Parts", "Ports", "assemble"]


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything a processor touches of the world."""

    job_log: JobLog
    dedup: Dedup
    sender: Sender
    pace: Pace
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a processor is made of beside its ports."""

    intake: IntakeConfig
    templates: Templates
    compose: Callable[[Attempt], Mapping[str, Any]]
    """The request to SES; raises ``ValueError`` for more than SES takes."""
    make_whole: Callable[[], Awaitable[object]]
    """Waits until the dedup set is whole again, or makes it so."""
    scribe: Scribe
    letters: Letters
    outcomes: Outcomes
    this_month: Callable[[], str]
    meter: Meter
    canary: CanaryGate
    """Lets a month's first mails go before the others."""
    months: Months
    """How months were opened."""
    drain: bool = False

    @property
    def presence(self) -> Permission:
        """Whether this process may intend, claim and call now."""
        return self.canary.presence


def assemble(settings: Settings, ports: Ports, parts: Parts) -> Worker:
    """One engine and what drives it."""
    engine = Engine()
    parts.presence.known = engine.starts.known_to
    clock, meter, dedup, job_log = ports.clock, parts.meter, ports.dedup, ports.job_log
    ahead, after_commit = LookAhead(dedup), AfterCommit(dedup, clock)
    brake = BrakeLever(engine, parts.presence, parts.canary, clock, meter)
    deliverer = _deliverer(settings, engine, ports, parts)
    scan = Scan(engine, job_log, clock, deliverer.wake)
    transactions = Transactions(engine, job_log, parts.scribe, after_commit, ahead, parts.letters, clock, meter)
    return Worker(
        engine,
        job_log,
        Intake(parts.intake, engine, ahead, scan, parts.templates, parts.this_month, parts.months, clock.now_ms),
        deliverer,
        transactions,
        after_commit,
        Rebalances(engine, deliverer, transactions, after_commit, ahead, meter),
        BackPressure(engine, deliverer, transactions, clock, settings.calls_at_once),
        Pulse(engine, transactions, parts.presence, brake, clock, meter),
        clock,
        Drain(engine, job_log, after_commit, brake, clock) if parts.drain else None,
    )


def _deliverer(settings: Settings, engine: Engine, ports: Ports, parts: Parts) -> Deliverer:
    clock, meter, dedup, sender = ports.clock, parts.meter, ports.dedup, ports.sender
    gates = Gates(Breaker(settings.breaker_consecutive, settings.breaker_share), Outage(settings.retry.unreachable))
    limits = Limits.of(settings)
    allowance = Allowance(limits, settings.account_refresh_s, sender, ports.pace, clock, meter, gates)
    judge = Judge(settings.retry, gates, Suspects(lambda: engine.others_wait), clock, meter)
    refusal, check, window_s = parts.presence.refusal, parts.templates.check, settings.start_window_s
    calls = Calls(dedup, sender, parts.compose, judge, allowance, gates, clock, meter, refusal, check, window_s)
    bars = Bars(dedup, parts.letters)
    attempts = Attempts(engine, gates, calls, dedup, bars, Past(parts.outcomes), parts.canary, clock, meter)
    return Deliverer(engine, gates, attempts, allowance, parts.make_whole, clock, meter, settings.calls_at_once)
