"""The composition of real code on simulated ports: a processor, a replay, an evidence process; each dies as one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from processor.adapters.control import read_control
from processor.adapters.first_mails import canary_gate
from processor.adapters.installation import check_installation, check_set
from processor.adapters.letters import EventLetters, Letters
from processor.adapters.outcomes import Outcomes
from processor.core.brake import Undelivered
from processor.core.control import Control
from processor.core.mail import MailConfig, compose
from processor.core.ticket import Attempt
from processor.evidence.aside import Aside
from processor.evidence.origin import Attempts, Origin
from processor.evidence.run import Evidence
from processor.evidence.scribe import EventScribe
from processor.evidence.sink import Sink
from processor.evidence.stop import Stop
from processor.evidence.sweep import Sweeper, UncertainMails
from processor.ops.balance import compare
from processor.ops.floor import Act, rise
from processor.recovery.adoption import Adoption
from processor.recovery.adoption import World as Adopting
from processor.recovery.part import under
from processor.shell.assembly import Parts, Ports, assemble
from processor.shell.control import FollowedMonths
from processor.shell.intake import IntakeConfig
from processor.shell.ledger import Scribe
from processor.shell.templates import SesTemplates
from processor.shell.worker import Worker
from processor.telemetry.meter import EvidenceMeter, Meter
from schemas.control import Installation
from schemas.kafka.reading import Follower
from schemas.runtime.ending import end, in_thread, obey
from schemas.runtime.errors import Halted, MailonceError, Overdue
from tests.simulation.control_log import SimControlLog
from tests.simulation.job_log import SimJobLog
from tests.simulation.kafka import Kafka
from tests.simulation.loop import OWNER
from tests.simulation.part_twin import Taking, places_now
from tests.simulation.reading_twin import Reader, SimRecordReader, SimWriter
from tests.simulation.redis_twin import SimDedup, SimPace
from tests.simulation.ses_twin import SimSender

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Host", "Process", "adopter", "evidence", "floor", "processor"]

STOP_S = 10.0
"""As `processor.wiring` and `processor.evidence.run`: less than a simulated lifetime all the same."""
METER = Meter()
"""One for all: what it counts is nobody's promise."""


@dataclass
class Host:
    """A machine: its wall clock may be wrong, its boot clock runs."""

    offset_ms: int = 0


class SimClock:
    """The port `Clock` on a host."""

    def __init__(self, world: World, host: Host) -> None:
        self._world = world
        self._host = host

    def now_ms(self) -> int:
        return self._world.wall_ms() + self._host.offset_ms

    def boot_s(self) -> float:
        return self._world.loop.time()

    def random(self) -> float:
        return self._world.net.rng.random()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Process(Reader):
    """An operating system's process: it runs `main` until that returns, raises, or the process is killed."""

    def __init__(
        self,
        world: World,
        name: str,
        main: Callable[[Process], Awaitable[object]],
        *,
        address: str = "redis",
        host: Host | None = None,
        group: str = "mailonce",
        instance: str = "",
        kafka: Kafka | None = None,
        drain: bool = False,
        month: str = "",
    ) -> None:
        super().__init__(name)
        self.world = world
        self.net = world.net
        self.kafka = kafka or world.kafka
        self.address = address
        self.host = host or Host()
        self.group = group
        self.instance = instance or name
        self.drain = drain
        self.month = month
        self.clock = SimClock(world, self.host)
        self.stalls: list[tuple[float, float]] = []
        self.began_s = world.loop.time()
        self.worker: Worker | None = None
        self.evidence: Evidence | None = None
        self.stopping = asyncio.Event()
        self.left: str | None = None
        """How it ended by itself: empty for a good end, else its error."""
        self._main = main
        context = Context()
        context.run(OWNER.set, self)
        self.net.history.note(name, "starts", address, group)
        world.loop.create_task(self._run(), context=context)

    async def _run(self) -> None:
        try:
            await self._main(self)
            self.left = ""
        except MailonceError as error:
            self.left = f"{type(error).__name__}: {error}"
            if isinstance(error, Halted) and error.reason == "defect":
                self.world.defects.append(f"{self.name}: {error}")
        except Exception as error:  # noqa: BLE001 - the audit tells of it
            self.left = f"DEFECT {error!r}"
            self.world.defects.append(f"{self.name}: {error!r}")
        self.net.history.note(self.name, "ends", self.left)
        self.kill()
        for group in self.kafka.groups.values():
            group.silent(self)

    @property
    def troubled(self) -> bool:
        """Whether it ended or stood still at a moment that it did not choose, or had its partitions taken away."""
        if self.stalls or self.left is None or self.left:
            return True
        return any(e.who == self.name and e.what == "# partitions lost" for e in self.net.history.entries)

    # ---- what the world does to it ----

    def die(self, why: str = "killed") -> None:
        if not self.dead:
            self.net.history.note(self.name, f"!{why}")
            self.kill()
            for group in self.kafka.groups.values():
                group.silent(self)

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        if self.running:
            self.net.history.note(self.name, "!stalled", seconds)
            self.stalls.append((self.net.now_s(), self.net.now_s() + seconds))
            self.stall()
            for group in self.kafka.groups.values():
                group.silent(self)
            self.world.loop.later(seconds, self.thaw)

    def thaw(self) -> None:
        if not self.running and not self.dead:
            self.net.history.note(self.name, "goes on")
            self.resume()

    def stop(self) -> None:
        """SIGTERM."""
        if self.running:
            self.net.history.note(self.name, "SIGTERM")
            self._inside(self.stopping.set)
        else:
            self.die("ended before it began")

    def _inside(self, call: Callable[[], object]) -> None:
        context = Context()
        context.run(OWNER.set, self)
        context.run(call)


async def adopter(process: Process) -> None:
    """As `mailonce dedup adopt --yes`."""
    settings, part = process.world.settings, Taking(process)
    writer: Any = SimWriter(settings, f"adopt-{process.instance}")
    parts = (part.dedup, part.control_log, part.follower, part.lineages, process.clock, writer)
    adoption = Adoption(settings, Adopting(*parts, lambda: places_now(process)), process.instance)
    try:
        await part.follower.start(settings.patience_s)
        found = await adoption.look()
        process.net.history.note(process.name, "would adopt", *found.why, found.former, dict(found.claims))
        if found.why:
            await adoption.carry_out("operator")
    finally:
        await part.follower.stop()


async def floor(process: Process) -> None:
    """As `mailonce produce` does once it has opened a month, or `mailonce dedup floor --yes`."""
    world, part = process.world, Taking(process)
    control = read_control(world.settings)
    part.dedup.under = lambda: under(control)

    async def kafka_ms() -> int:
        return world.wall_ms()

    async def read() -> Control:
        return await in_thread(read_control, world.settings)

    retention = world.settings.retention_months
    act = Act(part.dedup, read, part.control_log.change, kafka_ms, process.clock.now_ms, retention)
    process.net.history.note(process.name, "the floor", await rise(act, "operator"))


async def processor(process: Process) -> None:
    """As `processor.wiring` makes one."""
    part = Taking(process)
    try:
        await _process(process, part)
    finally:
        await part.follower.stop()


async def _process(process: Process, part: Taking) -> None:
    dedup, follower, lineages = part.dedup, part.follower, part.lineages
    world, settings, clock, kept = process.world, process.world.settings, process.clock, process.world.kept
    sender = SimSender(world.ses, clock)
    try:
        await obey(follower.start(settings.patience_s), process.stopping, 0)
        part.check()
        await obey(lineages.ensure_whole(), process.stopping, 0)
    except Overdue:
        return
    templates = SesTemplates(sender)
    installation = follower.control.installation
    mail = MailConfig("sender@example.net", installation=installation.id if installation else "")

    def compose_attempt(attempt: Attempt) -> dict[str, Any]:
        ticket = attempt.ticket
        assert ticket.job is not None
        return compose(ticket.job, attempt.id, ticket.place, mail, templates.content(ticket.job))

    pace = SimPace(world.redis, process.address)
    log: Any = part.control_log
    gate = canary_gate(settings, pace, follower, dedup.feed_alive_ms, log, clock, process.instance)
    process.worker = assemble(
        settings,
        Ports(
            SimJobLog(process.kafka, process.group, process.instance, settings.topics.jobs),
            dedup,
            sender,
            pace,
            clock,
        ),
        Parts(
            intake=IntakeConfig(
                settings.retention_months, process.month, world.told_before(process), world.suppressed, kept
            ),
            templates=templates,
            compose=compose_attempt,
            make_whole=lineages.ensure_whole,
            canary=gate,
            months=FollowedMonths(follower),
            scribe=Scribe(settings.topics, process.instance, "sim", clock.now_ms, process=follower.process),
            letters=Letters(settings, kept, clock.now_ms),
            outcomes=Outcomes(settings, kept, clock.now_ms),
            this_month=lambda: datetime.fromtimestamp(clock.now_ms() / 1000, UTC).strftime("%Y-%m"),
            meter=METER,
            drain=process.drain,
        ),
    )
    worker = process.worker
    following = [asyncio.create_task(part.checkpoint.run())] if world.follows else []
    following.append(asyncio.create_task(gate.run()))
    try:
        await obey(worker.run(), process.stopping, STOP_S, ask=worker.stop, excused=lambda: worker.calling)
    finally:
        await end(*following)
    if process.drain and not process.group.startswith("replay") and not process.stopping.is_set():
        since_ms = kept.told_since_ms(clock.now_ms())
        await in_thread(partial(compare, settings, worker.targets(), process.month, since_ms=since_ms))


async def evidence(process: Process) -> None:
    """As `processor.evidence.run` makes one."""
    world, settings, now_ms = process.world, process.world.settings, process.clock.now_ms
    dedup: Any = SimDedup(world.redis, process.address)
    scribe = EventScribe(settings.topics, process.instance, "sim", now_ms)
    jobs: Any = SimRecordReader(settings, settings.topics.jobs)
    writer: Any = SimWriter(settings, f"evidence-{process.instance}")
    sink = Sink(scribe, dedup, EventLetters(settings), jobs, writer)
    sweeper = Sweeper(settings, dedup, sink, UncertainMails(Follower(settings, settings.topics.deliveries)))

    async def check() -> Installation:
        control = await in_thread(read_control, settings)
        ours = check_installation(control.installation, places_now(process), settings.topics.control)
        check_set(ours, await dedup.server())
        return ours

    origin = Origin(await check(), Attempts(settings), sink.counts, world.loop.time)
    meter = EvidenceMeter(sink.counts, now_ms)
    aside = Aside(sink.counts, world.loop.time)
    control_log = SimControlLog(process.kafka, settings.topics.control)
    undelivered = Undelivered(settings.breaker_consecutive, settings.breaker_share)
    stop = Stop(undelivered, control_log.change, now_ms)
    process.evidence = Evidence(settings, dedup, sink, sweeper, now_ms, meter, origin, aside, stop, check)
    process.evidence.stopping = process.stopping
    with contextlib.suppress(Overdue):
        await obey(process.evidence.follow(world.sqs, drain=process.drain), process.stopping, STOP_S)  # type: ignore[arg-type]
