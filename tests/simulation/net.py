"""The wire between processes and servers: requests and answers travel by themselves, may be late, and may be lost.

Once a request has left, the server carries it out whatever becomes of the process; once the answer is on its way, it
reaches whoever still runs. Between any two of these steps a fault may be waiting (`Net.on_step`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

from tests.simulation.history import History
from tests.simulation.loop import OWNER, Owner

__all__ = ["Lost", "Net", "real_net"]


class Lost(Exception):
    """No answer came in time."""


class Loses(Protocol):
    def __call__(self, what: str, owner: Owner | None) -> str:
        """What happens to a request: nothing (empty), ``request`` or ``answer`` lost."""
        ...


def _loses_nothing(what: str, owner: Owner | None) -> str:
    return ""


class Net:
    """Latencies, losses and the steps that faults wait for; all by one source of randomness."""

    def __init__(self, rng: random.Random, later: Callable[..., Any], now_s: Callable[[], float]) -> None:
        self.rng = rng
        self.later = later
        """``later(seconds, call, *args)``: outside every process"""
        self.now_s = now_s
        self.history = History(now_s)
        self.loses: Loses = _loses_nothing
        self.on_step: Callable[[Owner, str], None] = lambda _owner, _what: None
        self.slow = 1.0
        self.patience = 1.0
        """how many times as long as usual a client waits"""

    @cached_property
    def beside(self) -> Net:
        """The same wire with latencies of its own: for what runs beside the rest, and changes nobody else's."""
        net = Net(random.Random(1), self.later, self.now_s)
        net.history = self.history
        net.loses = lambda what, owner: self.loses(what, owner)
        net.on_step = lambda owner, what: self.on_step(owner, what)
        net.patience = self.patience
        return net

    def who(self) -> str:
        owner = OWNER.get()
        return owner.name if owner else "world"

    def latency_s(self, usual_s: float) -> float:
        """Mostly `usual_s`, now and then ten times as much."""
        share = self.rng.random()
        return usual_s * self.slow * (0.5 + share if share < 0.95 else 10 * share)

    async def ask(self, what: str, call: Callable[[], Any], *, usual_s: float, timeout_s: float) -> Any:
        """Carries `call` out on a server and returns its answer, or raises what it raises, or `Lost`.

        Args:
            what: its name in the history.
            call: the server's step; it must not wait.
            usual_s: how long one way takes.
            timeout_s: how long the client waits for the answer.
        """
        owner = OWNER.get()
        if owner is not None:
            self.on_step(owner, f"{what} <")
            while not owner.running:
                await asyncio.sleep(0)  # killed or stalled at this very step: the request has not left
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        lost = self.loses(what, owner)
        if lost != "request":
            self.later(self.latency_s(usual_s), self._carry_out, what, call, future, usual_s, lost == "answer", owner)
        if lost:
            self.history.note(self.who(), f"{what}", f"({lost} lost)")
        try:
            async with asyncio.timeout(timeout_s * self.patience):
                return await future
        except TimeoutError:
            raise Lost(what) from None

    def _carry_out(
        self, what: str, call: Callable[[], Any], future: Any, usual_s: float, lost: bool, owner: Owner | None
    ) -> None:
        try:
            answer, error = call(), None
        except Exception as raised:  # noqa: BLE001 - it is the answer
            answer, error = None, raised
        if owner is not None:
            self.on_step(owner, f"{what} >")
        if not lost:
            self.later(self.latency_s(usual_s), _answer, future, answer, error)
        elif owner is not None:
            self.history.note(owner.name, f"{what} unheard", answer if error is None else repr(error))


def _answer(future: asyncio.Future[Any], answer: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(answer)


def real_net() -> Net:
    """For a contract suite: the same wire in real time, on whatever loop runs, however slow the machine is."""
    net = Net(
        random.Random(1),
        lambda seconds, call, *args: asyncio.get_running_loop().call_later(seconds, call, *args),
        time.monotonic,
    )
    net.patience = 1000.0
    return net
