"""Every stop ends: however often a cancellation is lost, and whatever a thread waits for."""

from __future__ import annotations

import ast
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from processor.adapters.redis import CLOSE_S
from schemas.runtime import ending
from schemas.runtime.ending import Thread, end, in_thread, obey, run, stop_on_signals, within
from schemas.runtime.errors import Overdue, RedisUnavailable
from schemas.runtime.logs import Event
from tests.support.world import ROOT


@pytest.fixture(autouse=True)
def behind(monkeypatch: pytest.MonkeyPatch) -> set[object]:
    """What a test leaves behind is its own."""
    found: set[object] = set()
    monkeypatch.setattr(ending, "_behind", found)
    monkeypatch.setattr(ending, "AGAIN_S", 0.01)
    return found


class Said:
    """A log that is looked at."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def error(self, event: str, **about: Any) -> None:
        self.entries.append(about | {"event": event})

    warning = error


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    log = Said()
    monkeypatch.setattr(ending, "log", log)
    return log.entries


class SwallowingRedis(redis.asyncio.Redis):
    """Loses the first cancellations, as `asyncio.wait_for` does when the write under it ends in the same moment."""

    def __init__(self, losses: float) -> None:
        super().__init__()
        self.losses = losses
        self.lost = 0
        self.closed = False

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            if self.lost >= self.losses:
                raise
            self.lost += 1
        return [1, 2]

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        while not self.closed:
            await self.execute_command("QUIT")


async def watching(client: redis.asyncio.Redis) -> None:
    while True:
        await client.time()


async def begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("losses", [0, 1, 2, 7])
async def test_a_task_that_loses_its_cancellations_ends(losses: int, behind: set[object]) -> None:
    """A stop ends: redis-py swallows a cancellation, and the next, and the next."""
    client = SwallowingRedis(losses)
    task = await begun(watching(client))
    assert await end(task)
    assert task.cancelled()
    assert client.lost == losses
    assert not behind


async def test_a_bare_cancellation_would_hang() -> None:
    """The same task without the helper: what the tests here are worth."""
    client = SwallowingRedis(1)
    task = await begun(watching(client))
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=0.2)
    assert not done
    await end(task)


async def test_what_does_not_end_is_left_behind(behind: set[object], said: list[dict[str, Any]]) -> None:
    """A stop ends even then, and says what it did not wait for."""
    client = SwallowingRedis(float("inf"))
    task = await begun(watching(client))
    assert not await end(task, limit_s=0.05)
    assert behind == {task}
    assert [(entry["event"], entry["what"]) for entry in said] == [(Event.NOT_ENDED, "watching")]
    client.losses = 0
    assert await end(task)
    await asyncio.sleep(0)
    assert not behind


async def test_a_task_has_time_for_its_last_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is given back at the end is given back: the next cancellation comes a little later."""
    monkeypatch.setattr(ending, "AGAIN_S", 30.0)
    given_back = False

    async def locked() -> None:
        nonlocal given_back
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            given_back = True

    assert await end(await begun(locked()))
    assert given_back


async def test_a_defect_at_the_end_is_told(said: list[dict[str, Any]]) -> None:
    """Known errors are no news at the end; a defect must be loud."""

    async def failing(error: Exception) -> None:
        raise error

    await end(await begun(failing(RedisUnavailable("away"))), await begun(failing(ZeroDivisionError("a defect"))))
    assert [type(entry["exc_info"]) for entry in said] == [ZeroDivisionError]


async def test_a_goodbye_takes_a_bounded_time() -> None:
    """`aclose` of a client whose server does not listen is not waited for."""
    client = SwallowingRedis(3)
    assert await within(0.02, client.aclose()) is None
    assert client.lost == 3
    assert await within(CLOSE_S, asyncio.sleep(0, "answer")) == "answer"


# ---- obey ----


async def test_whoever_obeys_returns_its_result() -> None:
    """A graceful end: asked once, and its own result."""
    stopping, asked = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        await asked.wait()
        return 7

    stopping.set()
    assert await obey(work(), stopping, 60, ask=asked.set) == 7


async def test_whoever_does_not_obey_is_ended() -> None:
    """However often it loses the cancellation."""
    client, stopping = SwallowingRedis(3), asyncio.Event()
    stopping.set()
    with pytest.raises(Overdue):
        await obey(watching(client), stopping, 0.02)
    assert client.lost == 3


async def test_calls_in_flight_are_excused() -> None:
    """While SES is being called the stop waits; then its time begins anew."""
    stopping, excused = asyncio.Event(), True
    stopping.set()
    looks = 0

    def look() -> bool:
        nonlocal looks
        looks += 1
        return excused and looks < 20

    with pytest.raises(Overdue):
        await obey(asyncio.Event().wait(), stopping, 0.015, excused=look)
    assert looks >= 20


async def test_an_error_comes_through() -> None:
    """What the work raises is raised."""

    async def work() -> None:
        raise RedisUnavailable("away")

    with pytest.raises(RedisUnavailable):
        await obey(work(), asyncio.Event(), 60)


# ---- the loop ----


@pytest.mark.parametrize("fast", [False, True])
def test_the_loop_is_closed_whatever_comes_of_it(fast: bool) -> None:
    """A command returns its result or raises its error, and keeps no loop open."""
    loops = []

    async def main(error: Exception | None) -> str:
        loops.append(asyncio.get_running_loop())
        if error:
            raise error
        return "done"

    assert run(main(None), fast=fast) == "done"
    with pytest.raises(RedisUnavailable):
        run(main(RedisUnavailable("away")), fast=fast)
    assert [loop.is_closed() for loop in loops] == [True, True]


def test_without_uvloop_the_loop_is_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none for Windows: the processor runs all the same."""
    monkeypatch.setitem(sys.modules, "uvloop", None)

    async def main() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert run(main(), fast=True).startswith("asyncio.")


@pytest.mark.parametrize("fast", [False, True])
def test_the_loop_ends_with_a_task_that_does_not(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`asyncio.run` would gather it for ever."""
    monkeypatch.setattr(ending, "LIMIT_S", 0.05)
    monkeypatch.setattr(ending.end, "__kwdefaults__", {"limit_s": 0.05})
    client, stuck = SwallowingRedis(0), SwallowingRedis(float("inf"))
    tasks = []

    async def main() -> str:
        tasks.extend([await begun(watching(client)), await begun(watching(stuck))])
        return "done"

    assert run(main(), fast=fast) == "done"
    assert tasks[0].cancelled()
    assert not tasks[1].done()
    tasks[1]._log_destroy_pending = False


def test_ctrl_c_ends_what_loses_it() -> None:
    """A command's Ctrl-C: the first one counts."""
    client = SwallowingRedis(3)

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.02, os.kill, os.getpid(), signal.SIGINT)
        await watching(client)

    with pytest.raises(KeyboardInterrupt):
        run(main())
    assert client.lost == 3


async def test_the_first_signal_asks_and_the_second_is_the_systems() -> None:
    """A second SIGTERM ends at once."""
    asked = asyncio.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop_on_signals(asked.set)
        os.kill(os.getpid(), signal.SIGTERM)
        await asked.wait()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ---- threads ----


async def test_a_thread_makes_calls_in_their_order() -> None:
    """One after the other, with their results and errors."""
    thread = Thread("test")
    try:
        assert await asyncio.gather(*(thread(lambda n=n: n) for n in range(5))) == [0, 1, 2, 3, 4]
        with pytest.raises(ZeroDivisionError):
            await thread(lambda: 1 // 0)
    finally:
        thread.close()


async def test_a_call_that_hangs_is_left_behind(behind: set[object]) -> None:
    """Whoever waits for it can be ended; the call itself counts as left behind until it has returned."""
    answer = threading.Event()
    task = await begun(in_thread(answer.wait))
    assert await end(task)
    assert len(behind) == 1
    answer.set()
    while behind:
        await asyncio.sleep(0.001)


# ---- everywhere ----

BARE = {
    ("asyncio", "run"): "schemas.runtime.ending.run",
    ("uvloop", "run"): "schemas.runtime.ending.run",
    ("asyncio", "to_thread"): "schemas.runtime.ending.in_thread",
    ("asyncio", "wait_for"): "asyncio.timeout: wait_for swallows cancellations in Python 3.11",
}
ALLOWED = {
    # Faust ends by `leave_within`, its threads with it.
    ("processor/dashboard", "to_thread"),
}


def test_nobody_ends_things_in_another_way() -> None:
    """The whole kind: tasks, loops and threads of the product end by `schemas.runtime.ending`."""
    found = []
    for package in ("processor", "producer", "mailonce", "schemas", "infra"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name != "schemas/runtime/ending.py" and "airflow" not in name:
                found += [
                    f"{name}:{line}" for line, call in _bare(path) if (str(Path(name).parent), call) not in ALLOWED
                ]
    assert not found, f"use {sorted(set(BARE.values()))} and `schemas.runtime.ending.end` at {found}"


def _bare(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            cancels = node.func.attr == "cancel" and not node.args and "timer" not in ast.unparse(node.func)
            if (owner, node.func.attr) in BARE or cancels:
                yield node.lineno, node.func.attr


async def test_a_thread_that_was_closed_makes_no_call() -> None:
    """Every stop ends: whoever stops twice is told so, and does not wait for nobody."""
    thread = Thread("test")
    thread.close()
    with pytest.raises(RuntimeError, match="closed"):
        await thread(lambda: None)
