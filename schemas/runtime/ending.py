"""How everything ends in a bounded time: tasks, the event loop, threads, the process.

A cancellation can be lost. redis-py writes its commands under `asyncio.wait_for`, which in Python 3.11 swallows a
cancellation that meets the end of the write: a loop of `TIME` commands loses almost every second one. So nobody waits
without a limit for what was cancelled once. A task is cancelled again until it ends; what does not end even then is
left behind, aloud, and the process leaves without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from schemas.runtime.errors import MailonceError, Overdue
from schemas.runtime.logs import Event, get_log

__all__ = ["Thread", "end", "in_thread", "leave", "leave_within", "obey", "run", "stop_on_signals", "within"]

log = get_log()
T = TypeVar("T")

AGAIN_S = 0.25
"""A cancelled task has so long for its last steps, a lock given back for example, before it is cancelled again."""
LIMIT_S = 5.0

_behind: set[object] = set()
"""Tasks and calls that nobody waits for any more and that have not ended."""


# ---- tasks ----


async def end(*tasks: asyncio.Task[Any], limit_s: float = LIMIT_S) -> bool:
    """Cancels tasks until they have ended, for at most `limit_s`; returns whether they have.

    How they end is no news, unless it is by a defect: that is logged.
    """
    loop = asyncio.get_running_loop()
    by_s = loop.time() + limit_s
    left = {task for task in tasks if not task.done()}
    while left and (now := loop.time()) < by_s:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=min(AGAIN_S, by_s - now))
    for task in left:
        _leave_behind(task)
        log.error(Event.NOT_ENDED, what=_name(task), after_s=limit_s, follows="it is left behind")
    for task in tasks:
        if task.done() and not task.cancelled() and _is_defect(error := task.exception()):
            log.error(Event.NOT_ENDED, what=_name(task), exc_info=error)
    return not left


def _is_defect(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, MailonceError)


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", task.get_name())


def _leave_behind(task: asyncio.Task[Any]) -> None:
    _behind.add(task)
    task.add_done_callback(_behind.discard)


async def within(limit_s: float, step: Awaitable[T]) -> T | None:
    """What a last step returns, or ``None`` when it was not done within the time: then it is ended."""
    task = asyncio.ensure_future(_awaited(step))
    try:
        await asyncio.wait({task}, timeout=limit_s)
    finally:
        if not task.done():
            log.warning(Event.NOT_ENDED, what=getattr(step, "__qualname__", ""), after_s=limit_s)
            await end(task)
    return None if task.cancelled() or not task.done() else task.result()


async def _awaited(step: Awaitable[T]) -> T:
    return await step


async def obey(
    work: Coroutine[Any, Any, T],
    stopping: asyncio.Event,
    grace_s: float,
    *,
    ask: Callable[[], object] = lambda: None,
    excused: Callable[[], bool] = lambda: False,
) -> T:
    """Runs `work`, which has `grace_s` to end by itself once `stopping` is set; then it is ended and `Overdue` raised.

    Args:
        work: what runs.
        stopping: set when it is to stop.
        grace_s: how long it may take, in seconds.
        ask: called when it is to stop.
        excused: while this is true its time does not run.
    """
    loop = asyncio.get_running_loop()
    task, asked = loop.create_task(work), loop.create_task(stopping.wait())
    try:
        await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            ask()
        by_s = loop.time() + grace_s
        while not task.done() and (left_s := by_s - loop.time()) > 0:
            await asyncio.wait({task}, timeout=min(AGAIN_S, left_s))
            if excused():
                by_s = loop.time() + grace_s
        if not task.done():
            await end(task)
            raise Overdue(
                f"the stop took over {grace_s:g} s: Kafka, Redis or SES does not answer; the next goes on from here"
            )
        return task.result()
    finally:
        await end(task, asked)


# ---- the event loop ----


def run(main: Coroutine[Any, Any, T], *, fast: bool = False) -> T:
    """`asyncio.run` with an end that takes a bounded time.

    Ctrl-C ends `main`, however often that takes; a second one ends at once.

    Args:
        main: what runs.
        fast: on uvloop, where there is one: for what runs long.
    """
    runner = asyncio.Runner(loop_factory=_fast_loop() if fast else None)
    loop = runner.get_loop()
    try:
        return runner.run(_whole(main))
    finally:
        # Not the runner's own end: it waits for tasks and threads without a limit.
        asyncio.set_event_loop(None)
        loop.close()


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
        return factory
    return None


async def _whole(main: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(main)
    try:
        await asyncio.wait({task})
        return task.result()
    finally:
        me = asyncio.current_task()
        await end(task, *(other for other in asyncio.all_tasks() if other not in {me, task}))
        await within(LIMIT_S, asyncio.get_running_loop().shutdown_asyncgens())


# ---- threads ----


class Thread:
    """A thread that makes calls one after the other. It never keeps the process alive."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._closed = False
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    async def __call__(self, call: Callable[..., T], *args: Any) -> T:
        """What the call returns. Whoever is cancelled meanwhile leaves it behind: a thread cannot be ended.

        Raises ``RuntimeError`` after `close`: nobody would ever make the call.
        """
        if self._closed:
            raise RuntimeError("this thread was closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        token = object()
        _behind.add(token)

        def tell(result: T | None, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]  # there is one where there is no error

        def make() -> None:
            result, error = None, None
            try:
                result = call(*args)
            except BaseException as raised:  # noqa: BLE001 - it belongs to who asked
                error = raised
            _behind.discard(token)
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(tell, result, error)

        self._calls.put(make)
        return await answer

    def close(self) -> None:
        """Ends the thread after its last call."""
        self._closed = True
        self._calls.put(None)


async def in_thread(call: Callable[..., T], *args: Any) -> T:
    """`asyncio.to_thread`, but a call that waits for a server in vain does not keep the process alive."""
    thread = Thread(getattr(call, "__qualname__", "call"))
    try:
        return await thread(call, *args)
    finally:
        thread.close()


# ---- the process ----


def stop_on_signals(ask: Callable[[], object]) -> None:
    """The first SIGTERM or SIGINT asks for a graceful end; a second ends the process at once (which is safe too)."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def first() -> None:
        ask()
        for number in numbers:
            loop.remove_signal_handler(number)
            # The kernel passes over a signal without a handler where a container's process 1 is meant.
            signal.signal(number, signal.SIG_DFL if os.getpid() != 1 else lambda number, _: os._exit(128 + number))

    for number in numbers:
        loop.add_signal_handler(number, first)


def leave_within(limit_s: float, code: int) -> None:
    """Ends the process with `code` if it has not ended by then: for a framework that ends itself, or does not."""

    def late() -> None:
        time.sleep(limit_s)
        log.error(Event.NOT_ENDED, what="the process", after_s=limit_s, follows="it ends at once")
        _exit(code)

    threading.Thread(target=late, name="leave", daemon=True).start()


def leave(code: int) -> NoReturn:
    """Ends the process with `code`: at once when something was left behind, which Python's own exit would wait for."""
    if _behind:
        _exit(code)
    sys.exit(code)


def _exit(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
