"""A worker from settings, on real servers: what the composition root puts together before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

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
from processor.adapters.topic_limits import TopicLimits, topic_limits
from processor.core.pace import Account
from processor.core.ticket import Attempt
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

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

__all__ = ["Made", "ask_account", "build", "make_sender", "make_templates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a worker is made for."""

    settings: Settings
    instance: str
    drain: bool = False
    month: str = ""
    told_before: Container[tuple[int, int]] = frozenset()
    wrap: Callable[[Ports], Ports] = lambda ports: ports
    meter: Meter = field(default_factory=Meter)


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
    made: Made,
    client: redis.asyncio.Redis,
    part: Part,
    sender: BotoSender,
    suppressions: Suppressions,
    mails: dict[str, Settings],
) -> tuple[Worker, CanaryGate]:
    """A worker on real servers, not started, and what holds a month's other mails back at first.

    `mails`: the settings of each template that has some of its own.
    """
    settings, instance = made.settings, made.instance
    clock, limits = SystemClock(), await in_thread(topic_limits, settings)
    ports = _ports(made, client, part, sender, clock, limits)
    templates = make_templates(settings, ports.sender)
    gate = canary_gate(
        settings, ports.pace, part.follower, part.dedup.feed_alive_ms, part.control_log, clock, made.instance
    )
    worker = assemble(
        settings,
        ports,
        Parts(
            intake=IntakeConfig(settings.retention_months, made.month, made.told_before, suppressions, limits.kept),
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
            meter=made.meter,
            drain=made.drain,
        ),
    )
    return worker, gate


def _ports(
    made: Made, client: redis.asyncio.Redis, part: Part, sender: BotoSender, clock: SystemClock, limits: TopicLimits
) -> Ports:
    settings = made.settings
    ports = made.wrap(
        Ports(
            KafkaJobLog(settings, made.instance, limits),
            part.dedup,
            AttachingSender(sender),
            RedisPace(client, settings.topic_prefix, settings.quota_window_s),
            clock,
        )
    )
    tracer = make_tracer(settings, "mailonce-processor")
    return _traced(ports, tracer, settings) if tracer else ports


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


def _traced(ports: Ports, tracer: Tracer, settings: Settings) -> Ports:
    from processor.telemetry.traced import Parents, TracedJobLog, TracedSender

    parents = Parents()
    return replace(
        ports,
        job_log=TracedJobLog(ports.job_log, tracer, parents, settings.topics),
        sender=TracedSender(ports.sender, tracer, parents),
    )
