"""A process's part in the control topic: heard, hearing, and by both allowed to call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from processor.adapters.clock import SystemClock
from processor.core.control import NO_TENURE, Tenure
from processor.ports import ControlLog, ServerSeen
from processor.shell.control import ControlFollower, Me, Timing
from schemas.control import ControlRecord, Heartbeat, Lineage
from schemas.runtime.errors import BrokerUnavailable, RedisUnavailable
from tests.support.control import WAIT_S, SimPlace, beats, read_until
from tests.support.parts import ALWAYS


@pytest.fixture
def place() -> SimPlace:
    return SimPlace()


def test_without_a_control_topic_everything_is_allowed() -> None:
    """Of tests that know none."""
    assert (ALWAYS.tenure(), ALWAYS.refusal(NO_TENURE)) == (NO_TENURE, "")


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


async def test_a_process_is_current_once_it_hears_itself(place: SimPlace) -> None:
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


async def test_the_silent_are_taken_off_and_hanging_changes_ended(place: SimPlace) -> None:
    """Nobody waits for ever for a process that is gone, or behind a change that stands still."""
    dead = place.make()
    dead.beat(Heartbeat(process="dead", beat=1))
    await read_until(dead, lambda found: len(beats(found)) == 1)
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


class SilentServer(FakeServer):
    """Redis does not answer at all."""

    async def server(self) -> ServerSeen:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_heartbeat_waits_for_nobody(place: SimPlace) -> None:
    """Redis is silent: heartbeats go on without a word of it, and the end does not wait either."""
    here = follower(place.make(), SilentServer())
    here.knows_topic("topic-1")
    await here.start(WAIT_S)
    await until(here, lambda: mine(here).beat > 2)
    assert (mine(here).server, mine(here).topic_id) == ("", "topic-1")
    await here.stop()
