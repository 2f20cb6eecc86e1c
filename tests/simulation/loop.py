"""An event loop whose time jumps, and processes on it that vanish or stand still whole.

Nothing here waits: when no callback is ready the clock is set to the next timer. Every callback belongs to the process
in whose context it was made. A killed process's callbacks are never run again, so no `finally` of it is: that is
SIGKILL. A stalled one's are kept and run when it goes on: that is SIGSTOP, and the world's time goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from enum import Enum
from typing import Any

__all__ = ["OWNER", "Deadlock", "Owner", "VirtualLoop"]

PRUNE_AT = 400
CLOSINGS_MAX = 20
TURNS_MAX = 300_000


class Deadlock(Exception):
    """Nothing is ready and no timer is left: whoever waits does so in vain."""


class Life(Enum):
    RUNNING = "running"
    STALLED = "stalled"
    DEAD = "dead"


class Owner:
    """Whose callbacks these are: an operating system's process, as far as the loop knows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.life = Life.RUNNING
        self.held: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []

    @property
    def running(self) -> bool:
        return self.life is Life.RUNNING

    @property
    def dead(self) -> bool:
        return self.life is Life.DEAD

    def kill(self) -> None:
        self.life = Life.DEAD

    def stall(self) -> None:
        if self.running:
            self.life = Life.STALLED

    def resume(self) -> None:
        """Goes on with what came meanwhile, in its order."""
        if self.life is Life.STALLED:
            self.life = Life.RUNNING
            asyncio.get_running_loop()._ready.extend(self.held)  # type: ignore[attr-defined]
            self.held = []

    def bury(self) -> None:
        """Lets go of what a killed process left, once nobody looks at the world any more."""
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            for _ in range(CLOSINGS_MAX):
                try:
                    coroutine.close()  # type: ignore[union-attr]
                    break
                except (RuntimeError, ValueError):
                    continue  # it waits in a `finally`
                except Exception:  # noqa: BLE001 - nobody is there any more whom it could concern
                    break
        self.tasks, self.held = [], []


OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)


class VirtualLoop(asyncio.BaseEventLoop):
    """Deterministic: first come, first served, and timers by their time."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self.outside = Context()
        """The world's own context: what runs in it belongs to no process."""
        self.turns = 0
        self.in_thread: Callable[[Callable[..., Any], tuple[Any, ...]], Coroutine[Any, Any, Any]] = _at_once
        self.set_task_factory(_owned)
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        return self._now

    def later(self, delay_s: float, call: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Something of the world's own: it happens whatever becomes of the process that caused it."""
        return self.call_at(self._now + delay_s, call, *args, context=self.outside)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """No thread: a step of its own in virtual time. A function that returns an awaitable stands for one that blocks."""
        return self.create_task(self.in_thread(func, args))

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        if not ready:
            self._jump(ready)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            self.turns += 1
            if self.turns > TURNS_MAX:
                raise Deadlock(f"{TURNS_MAX:,} turns: something goes round without end")
            owner = handle._context.get(OWNER)
            if owner is None or owner.life is Life.RUNNING:
                handle._run()
            elif owner.life is Life.STALLED:
                owner.held.append(handle)

    def _jump(self, ready: Any) -> None:
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:  # type: ignore[attr-defined]
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
        if not scheduled:
            raise Deadlock("nothing is ready and no timer is left")
        self._now = max(self._now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]
            ready.append(timer)

    def _process_events(self, event_list: Any) -> None: ...

    def _write_to_self(self) -> None: ...


async def _at_once(func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    result = func(*args)
    return await result if inspect.isawaitable(result) else result


def _owned(loop: asyncio.AbstractEventLoop, coroutine: Any, **about: Any) -> asyncio.Task[Any]:
    """A task that its process keeps hold of: a collector must not end what was killed."""
    task = asyncio.Task(coroutine, loop=loop, **about)
    context = about.get("context")
    owner = context.get(OWNER) if context is not None else OWNER.get()
    if owner is not None:
        owner.tasks.append(task)
        if len(owner.tasks) > PRUNE_AT:
            owner.tasks = [kept for kept in owner.tasks if not kept.done()]
    return task
