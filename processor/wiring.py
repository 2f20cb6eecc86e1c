"""The one composition root: settings in, a processor out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import redis.asyncio

from processor.adapters.clock import SystemClock
from processor.adapters.kafka_watch import kafka_watched
from processor.adapters.mail_options import settings_of_templates
from processor.adapters.metrics_server import metrics_served
from processor.adapters.redis import CLOSE_S as REDIS_CLOSE_S
from processor.adapters.redis import check_server, connect
from processor.adapters.ses import BotoSender
from processor.adapters.suppressions import Suppressions
from processor.adapters.topic_limits import topic_limits
from processor.adapters.topics import check_topics
from processor.building import Run, build, make_sender
from processor.core.times import too_short
from processor.ops.balance import Tell, compare
from processor.recovery.part import Part
from processor.shell.assembly import Ports
from processor.shell.canary import CanaryGate
from processor.shell.worker import Worker
from processor.watch import cannot_read, check, look, sick, watch
from schemas.kafka.clients import standing_still_s
from schemas.runtime.ending import end, in_thread, obey, stop_on_signals, within
from schemas.runtime.ending import run as run_loop
from schemas.runtime.errors import Overdue, UsageError
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings
from schemas.runtime.tracing import end_tracing

__all__ = ["Ended", "Ports", "Run", "check_times", "process", "run_processor"]

log = get_log()

TRACES_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended, when it ended well."""

    settled: int
    """jobs"""
    stopped: bool
    """Whether a signal asked for it."""


_Started = tuple[Worker, Suppressions, CanaryGate]


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
    started: _Started | None = None
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
            told = {"tell": how.tell} if how.tell else {}
            kept = (await in_thread(topic_limits, run.settings)).kept
            since_ms = kept.told_since_ms(SystemClock().now_ms())
            comparing = partial(compare, run.settings, worker.targets(), how.month, since_ms=since_ms, **told)
            await obey(in_thread(comparing), stopping, 0)
        if not stopping.is_set():
            log.info(Event.DRAINED)


async def _start(run: _Process, client: redis.asyncio.Redis, part: Part, sender: BotoSender) -> _Started:
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
    worker, canary = await build(settings, run.instance, run.run, client, part, sender, suppressions, mails)
    return worker, suppressions, canary


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
    canary: CanaryGate,
    stopping: asyncio.Event,
) -> int:
    """Reads and sends until it is stopped or drained; returns the jobs it settled."""
    settings = run.settings
    log.info(Event.PROCESSOR_STARTED, instance=run.instance, group=settings.group_id)
    watching = asyncio.create_task(watch(client, worker, suppressions, settings.account_refresh_s))
    looking = asyncio.create_task(look(worker, run.run.look))
    checking = asyncio.create_task(check(part, worker))
    following = asyncio.create_task(part.checkpoint.run())
    waiting = asyncio.create_task(canary.run())
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
        await end(watching, looking, checking, following, waiting)
    return worker.settled_count
