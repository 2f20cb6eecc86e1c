"""A worker from settings, on real servers: what the composition root puts together before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import redis.asyncio

from processor.adapters.attachments import AttachingSender
from processor.adapters.clock import SystemClock
from processor.adapters.first_mails import canary_gate
from processor.adapters.kafka import KafkaJobLog
from processor.adapters.letters import Letters
from processor.adapters.mail_options import Mails
from processor.adapters.outcomes import Outcomes
from processor.adapters.redis import RedisPace
from processor.adapters.ses import BotoSender
from processor.adapters.ses_lean import LeanSender
from processor.adapters.suppressions import Suppressions
from processor.adapters.topic_limits import topic_limits
from processor.core.pace import Account
from processor.core.ticket import Attempt
from processor.ops.balance import Tell
from processor.ports import Sender, Templates
from processor.recovery.part import Part
from processor.shell.assembly import Parts, Ports, assemble
from processor.shell.canary import CanaryGate
from processor.shell.control import FollowedMonths
from processor.shell.intake import IntakeConfig
from processor.shell.ledger import Scribe
from processor.shell.templates import SesTemplates
from processor.shell.worker import Worker
from processor.telemetry.meter import Meter
from schemas.runtime.ending import in_thread
from schemas.runtime.settings import Settings
from schemas.runtime.tracing import tracer as make_tracer

__all__ = ["Run", "ask_account", "build", "make_sender", "make_templates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a processor runs."""

    drain: bool = False
    """End when every job published so far is settled."""
    compare: bool = False
    """After a drain: hold jobs against outcomes."""
    tell: Tell | None = None
    """Told of what takes long after a drain."""
    month: str = ""
    """Look only at this month's records; empty: at all."""
    told_before: Container[tuple[int, int]] = frozenset()
    """Places of records without a readable key that have their dead letter already."""
    wrap: Callable[[Ports], Ports] = lambda ports: ports
    """Puts something around the ports; fault injection uses it."""
    meter: Meter = field(default_factory=Meter)
    look: Callable[[Worker], None] | None = None
    """Called a few times a second with the running worker."""


def make_sender(settings: Settings) -> BotoSender:
    """The transport that the settings name."""
    # A multi-region endpoint is signed by awscrt, through boto3 alone.
    by_boto3 = settings.ses_transport == "boto3" or settings.endpoint_id
    return BotoSender(settings) if by_boto3 else LeanSender(settings)


def make_templates(settings: Settings, sender: Sender) -> Templates:
    """By ``MAILONCE_RENDER``. Raises `UsageError` for a folder that cannot be read."""
    if settings.render == "ses":
        return SesTemplates(sender)
    from processor.adapters.local_templates import LocalTemplates

    return LocalTemplates(Path(settings.templates_folder))


async def ask_account(settings: Settings) -> Account:
    """SES's limits for the account, and what it used of them. Raises `Halted` and the like when SES does not tell."""
    # Reading boto3's models takes a tenth of a second, which nobody's event loop can spare.
    sender = await in_thread(make_sender, settings)
    try:
        return await sender.account()
    finally:
        sender.close()


async def build(
    settings: Settings,
    instance: str,
    how: Run,
    client: redis.asyncio.Redis,
    part: Part,
    sender: BotoSender,
    suppressions: Suppressions,
    mails: dict[str, Settings],
) -> tuple[Worker, CanaryGate]:
    """A worker on real servers, not started, and what holds a month's other mails back at first.

    `mails`: the settings of each template that has some of its own.
    """
    clock, limits = SystemClock(), await in_thread(topic_limits, settings)
    job_log = KafkaJobLog(settings, instance, limits)
    pace = RedisPace(client, settings.topic_prefix, settings.quota_window_s)
    ports = _traced(how.wrap(Ports(job_log, part.dedup, AttachingSender(sender), pace, clock)), settings)
    templates = make_templates(settings, ports.sender)
    gate = canary_gate(settings, ports.pace, part.follower, part.dedup.feed_alive_ms, part.control_log, clock, instance)
    parts = Parts(
        intake=IntakeConfig(settings.retention_months, how.month, how.told_before, suppressions, limits.kept),
        templates=templates,
        compose=await _composing(settings, part, templates, mails),
        make_whole=part.lineages.ensure_whole,
        canary=gate,
        months=FollowedMonths(part.follower),
        scribe=Scribe(
            settings.topics, instance, version("mailonce"), clock.now_ms, limits.letter_bytes, part.follower.process
        ),
        letters=Letters(settings, limits.kept, clock.now_ms),
        outcomes=Outcomes(settings, limits.kept, clock.now_ms),
        this_month=lambda: datetime.now(UTC).strftime("%Y-%m"),
        meter=how.meter,
        drain=how.drain,
    )
    return assemble(settings, ports, parts), gate


async def _composing(
    settings: Settings, part: Part, templates: Templates, mails: dict[str, Settings]
) -> Callable[[Attempt], dict[str, object]]:
    """What writes an attempt's mail as SES takes it."""
    installation = part.follower.control.installation
    requests = await in_thread(Mails, settings, mails, installation.id if installation else "")

    def compose_attempt(attempt: Attempt) -> dict[str, object]:
        ticket = attempt.ticket
        assert ticket.job is not None
        return requests.request(ticket.job, attempt.id, ticket.place, templates.content(ticket.job))

    return compose_attempt


def _traced(ports: Ports, settings: Settings) -> Ports:
    """With spans around them, where somebody collects those."""
    tracer = make_tracer(settings, "mailonce-processor")
    if tracer is None:
        return ports
    from processor.telemetry.traced import Parents, TracedJobLog, TracedSender

    parents = Parents()
    return replace(
        ports,
        job_log=TracedJobLog(ports.job_log, tracer, parents, settings.topics),
        sender=TracedSender(ports.sender, tracer, parents),
    )
