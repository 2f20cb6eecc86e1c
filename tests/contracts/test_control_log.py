"""The laws of the control topic, on real Kafka and on its twin in memory; and a process's part in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer

from processor.adapters.clock import SystemClock
from processor.adapters.control import KafkaControl, change_control
from processor.core.control import Control, Tenure, begin_lineage
from processor.ports import ControlLog, Produced, ServerSeen
from processor.shell.control import ControlFollower, Me, Timing
from schemas.codec import encode
from schemas.control import Content, ControlRecord, Heartbeat, Lineage
from schemas.kafka.clients import transactional_config
from schemas.kafka.reading import read_topic
from schemas.runtime.errors import BrokerUnavailable, RedisUnavailable
from schemas.runtime.settings import Settings
from tests.simulation.control_log import SimControlLog
from tests.simulation.kafka import Kafka
from tests.simulation.net import real_net
from tests.support.world import World

WAIT_S = 60.0
Records = Sequence[tuple[bytes, Content | None]]


class RealPlace:
    """A control topic on Kafka, and what a test needs beside the port."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hanging: Producer | None = None

    def make(self) -> ControlLog:
        return KafkaControl(self._settings)

    def rival(self, lineage: Lineage) -> None:
        """Somebody else begins a lineage just now."""
        change_control(self._settings, lambda control: begin_lineage(control, lineage))

    def hang(self) -> None:
        """Somebody else stands still in the middle of a change."""
        topic = self._settings.topics.control
        self._hanging = Producer(transactional_config(self._settings, "") | {"transactional.id": topic})
        self._hanging.init_transactions(WAIT_S)
        self._hanging.begin_transaction()
        self._hanging.produce(topic, encode(Lineage(id="hangs")), b"lineage:hangs", 0)
        self._hanging.flush(WAIT_S)


class SimPlace:
    """The same, simulated."""

    def __init__(self) -> None:
        self._kafka = Kafka(real_net(), 1, transaction_s=WAIT_S)

    def make(self) -> ControlLog:
        return SimControlLog(self._kafka, "sim-control")

    def rival(self, lineage: Lineage) -> None:
        self._begin(lineage)
        self._kafka.end("sim-control", self._kafka.epochs["sim-control"], commit=True)

    def hang(self) -> None:
        self._begin(Lineage(id="hangs"))

    def _begin(self, lineage: Lineage) -> None:
        record = Produced("sim-control", 0, f"lineage:{lineage.id}".encode(), encode(lineage))
        self._kafka.add("sim-control", self._kafka.init("sim-control"), [record])


@pytest.fixture(params=["kafka", "simulated"])
def place(request: pytest.FixtureRequest) -> RealPlace | SimPlace:
    """Both must obey the same laws."""
    return RealPlace(request.getfixturevalue("world").settings) if request.param == "kafka" else SimPlace()


async def read_until(log: ControlLog, condition: Callable[[list[ControlRecord]], bool]) -> list[ControlRecord]:
    found: list[ControlRecord] = []
    async with asyncio.timeout(WAIT_S):
        while not condition(found):
            found += await log.read(0.5)
    return found


async def test_what_is_written_comes_back_in_order(place: RealPlace | SimPlace) -> None:
    """A heartbeat that came back was taken, and with it everything before."""
    log, other = place.make(), place.make()
    for number in range(1, 4):
        log.beat(Heartbeat(process="me", beat=number))
    await log.change(lambda control: begin_lineage(control, Lineage(id="one")))
    log.remove("me")
    for reader in (log, other):
        found = await read_until(reader, lambda found: any(r.kind == "process" and r.content is None for r in found))
        mine = [record.content for record in found if record.kind == "process"]
        assert [beat.beat for beat in mine if isinstance(beat, Heartbeat)] == [1, 2, 3]
        assert mine[-1] is None
        assert [record.name for record in found if record.kind == "lineage"] == ["one"]
        assert await reader.read(0.05) == []
    await log.stop()
    await other.stop()


async def test_of_two_changes_on_the_same_reading_one_is_written(place: RealPlace | SimPlace) -> None:
    """Compaction would keep the second: so whoever was slower decides anew, on what the first has written."""
    log, asked = place.make(), []

    def decide(control: Control) -> Records:
        asked.append(control.newest)
        if not control.newest:
            place.rival(Lineage(id="rival"))
            return begin_lineage(control, Lineage(id="mine"))
        return []

    await log.change(decide)
    found = await read_until(log, lambda found: any(record.kind == "lineage" for record in found))
    assert [record.name for record in found if record.kind == "lineage"] == ["rival"]
    assert asked[0] == ""
    assert asked[-1] == "rival"
    await log.stop()


async def test_a_change_that_hangs_is_ended(place: RealPlace | SimPlace) -> None:
    """Behind it nobody reads a heartbeat back, and nobody may call: whoever notices ends it."""
    log = place.make()
    log.beat(Heartbeat(process="me", beat=1))
    await read_until(log, lambda found: len(_beats(found)) == 1)
    place.hang()
    log.beat(Heartbeat(process="me", beat=2))
    assert _beats(await log.read(1.0)) == []
    await log.release()
    found = await read_until(log, lambda found: len(_beats(found)) == 1)
    assert [record.kind for record in found] == ["process"], "what hung was never written"
    await log.stop()


def _beats(found: list[ControlRecord]) -> list[Heartbeat]:
    return [record.content for record in found if isinstance(record.content, Heartbeat)]


# ---- a process's part ----

QUICK = Timing(beat_s=0.2, current_s=1000.0, silent_s=0.5, hanging_s=0.5, server_s=0.1, read_s=0.05)


class FakeServer:
    """Redis, as a heartbeat sees it."""

    def __init__(self, seen: ServerSeen | None = None) -> None:
        self.seen = seen
        self.granted = 3

    async def server(self) -> ServerSeen:
        if self.seen is None:
            raise RedisUnavailable("the test says so")
        return self.seen


def follower(log: ControlLog, server: FakeServer, timing: Timing = QUICK) -> ControlFollower:
    return ControlFollower(log, server, SystemClock(), Me("i-1", "t-1"), timing)


async def until(here: ControlFollower, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await here.news(0.05)


def mine(here: ControlFollower) -> Heartbeat:
    return here.control.processes[here.process].heartbeat


async def test_a_process_is_current_once_it_hears_itself(place: RealPlace | SimPlace) -> None:
    """It says which lineage it has read, and names the one that its server answered under; at its end it is gone."""
    server = FakeServer(ServerSeen("run-1", "ours", "one", whole=True))
    here = follower(place.make(), server)
    assert here.tenure() is None
    await here.start(WAIT_S)
    assert here.tenure() is None, "there is no lineage"
    place.rival(Lineage(id="one"))
    await until(here, lambda: here.tenure() is not None and mine(here).lineage == "one")
    assert here.tenure() == Tenure("one", 1)
    assert (mine(here).knows, mine(here).server, mine(here).granted, mine(here).transactional_id) == (
        "one",
        "run-1",
        3,
        "t-1",
    )
    assert here.refusal(Tenure("one", 1)) == ""
    assert "new lineage" in here.refusal(Tenure("zero", 1))
    server.seen = None
    await until(here, lambda: mine(here).lineage == "")
    here.rebuilding = "two"
    place.rival(Lineage(id="two"))
    await until(here, lambda: mine(here).lineage == "two" and mine(here).server == "")
    await here.stop()
    after = place.make()
    gone = await read_until(after, lambda found: any(r.kind == "process" and r.content is None for r in found))
    assert gone[-1].name == here.process
    await after.stop()


async def test_the_silent_are_taken_off_and_hanging_changes_ended(place: RealPlace | SimPlace) -> None:
    """Nobody waits for ever for a process that is gone, or behind a change that stands still."""
    dead = place.make()
    dead.beat(Heartbeat(process="dead", beat=1))
    await read_until(dead, lambda found: len(_beats(found)) == 1)
    place.hang()
    here = follower(place.make(), FakeServer())
    await here.start(WAIT_S)
    await until(here, lambda: "dead" not in here.control.processes)
    assert "no heartbeat" in _lapsed(here)
    await here.stop()
    await dead.stop()


def _lapsed(here: ControlFollower) -> str:
    here.presence._until_s = float("-inf")
    return here.refusal(Tenure())


async def nothing_for(seconds: float) -> None:
    """As a reader does at a topic's end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


class Mute:
    """A control topic that takes everything and tells nothing, or tells that it was cut."""

    def __init__(self, *told: list[ControlRecord] | BrokerUnavailable) -> None:
        self.told = [*told]

    async def read(self, timeout_s: float) -> list[ControlRecord]:
        await asyncio.sleep(0)
        if not self.told:
            await nothing_for(timeout_s)
            return []
        told = self.told.pop(0)
        if isinstance(told, BrokerUnavailable):
            raise told
        return told

    def beat(self, heartbeat: Heartbeat) -> None: ...

    def remove(self, process: str) -> None: ...

    async def change(self, decide: Any) -> None: ...

    async def release(self) -> None: ...

    async def end_transactions(self, transactional_ids: Sequence[str]) -> None: ...

    async def stop(self) -> None: ...


async def test_a_topic_that_is_not_heard_is_told_of() -> None:
    """After its patience the process leaves, and says why; a topic that was cut is noticed, Kafka away is waited for."""
    cut = ControlRecord(-1, "lost", "out of range", None)
    here = follower(Mute(BrokerUnavailable("away"), [cut]), FakeServer())
    with pytest.raises(BrokerUnavailable, match="no heartbeat came back"):
        await here.start(0.5)
    assert "lost" in here.control.broken
    assert here.refusal(Tenure()) == here.control.broken
    await here.stop()


async def test_a_defect_of_the_follower_is_loud() -> None:
    """Whoever waits for the first heartbeat must not wait in vain."""
    here = follower(Mute(), FakeServer())

    def beat(_heartbeat: Heartbeat) -> None:
        raise ZeroDivisionError

    here._log.beat = beat  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        await here.start(WAIT_S)
    await here.stop()


async def test_a_hanging_transaction_of_a_dead_process_is_ended(world: World) -> None:
    """Readers of the ledger wait for it; a new producer under its id ends it, and fences whoever held it."""
    settings = world.settings
    topic = settings.topics.deliveries
    dead = Producer(transactional_config(settings, "") | {"transactional.id": "dead"})
    dead.init_transactions(WAIT_S)
    dead.begin_transaction()
    dead.produce(topic, b"{}", b"k", 0)
    dead.flush(WAIT_S)
    await KafkaControl(settings).end_transactions(["dead"])
    assert [record for record in read_topic(settings, topic) if record.key == b"k"] == []
    with pytest.raises(KafkaException):
        dead.commit_transaction(WAIT_S)
    away = settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1", "patience_s": 0.1})
    with pytest.raises(BrokerUnavailable):
        change_control(away, lambda _control: [])
