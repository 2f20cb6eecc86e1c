"""The one composition root: settings in, a processor out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import redis.asyncio

from processor.adapters.attachments import AttachingSender
from processor.adapters.clock import SystemClock
from processor.adapters.kafka import KafkaJobLog
from processor.adapters.kafka_watch import kafka_watched
from processor.adapters.letters import Letters
from processor.adapters.mail_options import Mails, settings_of_templates
from processor.adapters.metrics_server import metrics_served
from processor.adapters.outcomes import Outcomes
from processor.adapters.redis import CLOSE_S as REDIS_CLOSE_S
from processor.adapters.redis import RedisPace, check_server, connect
from processor.adapters.ses import BotoSender
from processor.adapters.ses_lean import LeanSender
from processor.adapters.suppressions import Suppressions
from processor.adapters.topics import check_topics, letter_bytes_max
from processor.core.pace import Account
from processor.core.ticket import Attempt
from processor.core.times import too_short
from processor.ops.balance import Tell, compare
from processor.ports import Sender, Templates
from processor.recovery.part import Part
from processor.shell.assembly import Parts, Ports, assemble
from processor.shell.control import FollowedMonths
from processor.shell.intake import IntakeConfig
from processor.shell.ledger import Scribe
from processor.shell.templates import SesTemplates
from processor.shell.worker import Worker
from processor.telemetry.meter import Meter
from processor.watch import cannot_read, check, look, sick, watch
from schemas.kafka.clients import standing_still_s
from schemas.runtime.ending import end, in_thread, obey, stop_on_signals, within
from schemas.runtime.ending import run as run_loop
from schemas.runtime.errors import (
    Overdue,
    UsageError,
)
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings
from schemas.runtime.tracing import end_tracing
from schemas.runtime.tracing import tracer as make_tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

__all__ = ["Ended", "Ports", "Run", "check_times", "make_sender", "process", "run_processor"]

log = get_log()

TRACES_CLOSE_S = 5.0


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


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended, when it ended well."""

    settled: int
    """jobs"""
    stopped: bool
    """Whether a signal asked for it."""


@dataclass(frozen=True, slots=True)
class _Process:
    settings: Settings
    instance: str
    run: Run


def process(
    settings: Settings,
    *,
    drain: bool = False,
    wrap: Callable[[Ports], Ports] = lambda ports: ports,
    tell: Tell | None = None,
) -> int:
    """Runs a processor until it is stopped, drained or must leave; returns the jobs it settled. See `Run`.

    Raises `OutcomesMissing` when it has drained and a job has no outcome all the same.
    """
    return run_processor(settings, Run(drain=drain, compare=drain, wrap=wrap, tell=tell)).settled


def run_processor(settings: Settings, how: Run) -> Ended:
    """Runs a processor until it is stopped, drained or must leave."""
    if not settings.from_address:
        raise UsageError("MAILONCE_FROM_ADDRESS is not set: the sender address, verified in SES")
    return run_loop(_run(_Process(settings, settings.instance_name(), how)), fast=True)


async def _run(run: _Process) -> Ended:
    settings = run.settings
    stopping = asyncio.Event()
    stop_on_signals(stopping.set)
    client = connect(settings)
    sender = make_sender(settings)
    part = Part(settings, client, run.instance)
    started: tuple[Worker, Suppressions] | None = None
    try:
        # Until then nothing is begun that a stop would have to bring to an end.
        with contextlib.suppress(Overdue):
            started = await obey(_start(run, client, part, sender), stopping, 0)
        settled = await _serve(run, client, part, *started, stopping) if started else 0
        if started and run.run.drain:
            await _end_drain(run, started[0], stopping)
        log.info(Event.PROCESSOR_STOPPED, instance=run.instance, settled=settled)
        return Ended(settled, stopping.is_set())
    finally:
        sender.close()
        await part.stop()
        await within(REDIS_CLOSE_S, client.aclose())
        await within(TRACES_CLOSE_S, in_thread(end_tracing))


async def _end_drain(run: _Process, worker: Worker, stopping: asyncio.Event) -> None:
    """Says "drained" once jobs and outcomes were compared, where that was asked for. Raises `OutcomesMissing`."""
    how = run.run
    # A signal ends the comparison: nothing is said then.
    with contextlib.suppress(Overdue):
        if how.compare and not stopping.is_set():
            told = (how.tell,) if how.tell else ()
            await obey(in_thread(compare, run.settings, worker.targets(), how.month, *told), stopping, 0)
        if not stopping.is_set():
            log.info(Event.DRAINED)


async def _start(
    run: _Process, client: redis.asyncio.Redis, part: Part, sender: BotoSender
) -> tuple[Worker, Suppressions]:
    """Everything that must be right before a record is read."""
    settings = run.settings
    check_times(settings, local=sender.local)
    await check_server(client)
    await in_thread(check_topics, settings)
    await part.start()
    await part.lineages.ensure_whole()
    await sender.check_run(settings)
    mails = await in_thread(settings_of_templates, settings, Path(settings.templates_folder))
    for own in mails.values():
        await BotoSender.check_run(sender, own)
    suppressions = Suppressions(settings, await sender.suppressed())
    await in_thread(suppressions.refresh)
    return await _build(run, client, part, sender, suppressions, mails), suppressions


def check_times(settings: Settings, *, local: bool) -> None:
    """A bar must outlast the latest settling that Kafka would take. Raises `UsageError`; warns beside a stand-in."""
    why = too_short(settings.attempt_lifetime_s, *standing_still_s(settings))
    if why is not None and not local:
        raise UsageError(why)
    if why is not None:
        log.warning(Event.LIFETIME_SHORT, why=why, follows="accepted beside a stand-in for SES")


async def _serve(
    run: _Process,
    client: redis.asyncio.Redis,
    part: Part,
    worker: Worker,
    suppressions: Suppressions,
    stopping: asyncio.Event,
) -> int:
    """Reads and sends until it is stopped or drained; returns the jobs it settled."""
    settings = run.settings
    log.info(Event.PROCESSOR_STARTED, instance=run.instance, group=settings.group_id)
    watching = asyncio.create_task(watch(client, worker, suppressions, settings.account_refresh_s))
    looking = asyncio.create_task(look(worker, run.run.look))
    checking = asyncio.create_task(check(part, worker))
    following = asyncio.create_task(part.checkpoint.run())
    try:
        with (
            kafka_watched(settings, served=settings.metrics_port is not None) as kafka,
            metrics_served(
                settings.metrics_host,
                settings.metrics_port,
                run.run.meter.registry,
                lambda: sick(worker),
                lambda: sick(worker) or kafka.why_not_ready() or cannot_read(settings, worker),
            ),
        ):
            await obey(worker.run(), stopping, settings.stop_s, ask=worker.stop, excused=lambda: worker.calling)
    finally:
        await end(watching, looking, checking, following)
    return worker.settled_count


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


async def _build(
    run: _Process,
    client: redis.asyncio.Redis,
    part: Part,
    sender: BotoSender,
    suppressions: Suppressions,
    mails: dict[str, Settings],
) -> Worker:
    settings, instance = run.settings, run.instance
    clock, letters_max = SystemClock(), await in_thread(letter_bytes_max, settings)
    ports = run.run.wrap(
        Ports(
            KafkaJobLog(settings, instance, letters_max),
            part.dedup,
            AttachingSender(sender),
            RedisPace(client, settings.topic_prefix, settings.quota_window_s),
            clock,
        )
    )
    if tracer := make_tracer(settings, "mailonce-processor"):
        ports = _traced(ports, tracer, settings)
    installation = part.follower.control.installation
    requests = await in_thread(Mails, settings, mails, installation.id if installation else "")
    templates = make_templates(settings, ports.sender)

    def compose_attempt(attempt: Attempt) -> dict[str, object]:
        ticket = attempt.ticket
        assert ticket.job is not None
        return requests.request(ticket.job, attempt.id, ticket.place, templates.content(ticket.job))

    return assemble(
        settings,
        ports,
        Parts(
            intake=IntakeConfig(settings.retention_months, run.run.month, run.run.told_before, suppressions),
            templates=templates,
            compose=compose_attempt,
            make_whole=part.lineages.ensure_whole,
            presence=part.follower,
            months=FollowedMonths(part.follower),
            scribe=Scribe(
                settings.topics, instance, version("mailonce"), clock.now_ms, letters_max, part.follower.process
            ),
            letters=Letters(settings),
            outcomes=Outcomes(settings),
            this_month=lambda: datetime.now(UTC).strftime("%Y-%m"),
            meter=run.run.meter,
            drain=run.run.drain,
        ),
    )


def _traced(ports: Ports, tracer: Tracer, settings: Settings) -> Ports:
    from processor.telemetry.traced import Parents, TracedJobLog, TracedSender

    parents = Parents()
    return replace(
        ports,
        job_log=TracedJobLog(ports.job_log, tracer, parents, settings.topics),
        sender=TracedSender(ports.sender, tracer, parents),
    )
