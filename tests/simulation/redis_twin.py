"""Redis: servers that remember every state they were in, addresses that lead to one of them, and a processor's client.

A server holds the pure model of the scripts that passes the dedup set's contract suite (`dedup.py`). Because each
server keeps its history, whole script by whole script, the world can do to it what operators and power cuts do:
restart with a prefix, promote a lagging replica, move the address back, load an old dump.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from processor.adapters.redis import NOBODYS_SET, Under
from processor.core.states import ABSENT, Claim
from processor.ports import Lease
from schemas.identity import Key
from schemas.runtime.errors import RedisUnavailable
from tests.simulation.budget import Budget
from tests.simulation.dedup import NO_MARKER, NOT_CARRIED, Carried, Marker, MemoryDedup
from tests.simulation.net import Lost, Net

__all__ = ["Redis", "Server", "SimDedup", "SimPace"]

REQUEST_S = 0.001
TIMEOUT_S = 1.0
BESIDE = {"checkpoint", "follow", "follows"}
READS = {"time_ms", "peek_all", "peek", "recorded", "server", "is_whole", "noted", "extend_lock"}


class State(NamedTuple):
    """Everything that a server's disk or a replica could hold of the dedup set."""

    claims: dict[Key, Claim]
    places: dict[Key, dict[int, int]]
    marker: Marker
    lock: tuple[str, float] | None
    notes: frozenset[tuple[str, str]]
    feed_ms: int
    floor: str = ""
    carried: Carried = NOT_CARRIED
    seals: float = 0.0
    telling: tuple[tuple[tuple[int, int], tuple[str, int]], ...] = ()


class SimSet(MemoryDedup):
    """The scripts' model, as a disk or a replica holds it."""

    def dump(self) -> State:
        lock = (self._lock, self._until_ms) if self._lock else None
        kept = frozenset(self._notes), self._feed_ms, self.floor, self.carried, self.seals, (*self.telling.items(),)
        return State(dict(self.claims), dict(self.places), self.marker, lock, *kept)

    def load(self, state: State) -> None:
        self.claims, self.places, self.marker = dict(state.claims), dict(state.places), state.marker
        self._lock, self._until_ms = state.lock or (None, 0.0)
        self._notes, self._feed_ms, self.floor = set(state.notes), state.feed_ms, state.floor
        self.carried, self.seals, self.telling = state.carried, state.seals, dict(state.telling)


class Server:
    """One Redis process, from its start to its end."""

    def __init__(self, name: str, run: str, lifetime_s: float, now_ms: Callable[[], int]) -> None:
        self.name = name
        self.set = SimSet(lifetime_s, now_ms)
        self.set.run = run
        self.budget = Budget(now_ms)
        self.down = False
        self.past: list[State] = [self.set.dump()]
        """one for each script that may write"""

    def carry_out(self, name: str, args: tuple[Any, ...], under: Under = NOBODYS_SET) -> Any:
        """One script, for whoever says `under` what."""
        self.set.under = lambda: under
        try:
            return _now(getattr(self.set, name)(*args))
        finally:
            if name not in READS:
                self.past.append(self.set.dump())

    def flush(self) -> None:
        """FLUSHALL."""
        self.set.load(State({}, {}, NO_MARKER, None, frozenset(), 0))
        self.budget = Budget(self.budget.now_ms)
        self.past.append(self.set.dump())

    @property
    def rebuilding(self) -> bool:
        """Whether somebody holds the lock, or held it a moment ago and has not noticed."""
        return self.set.dump().lock is not None

    def load_keys(self, state: State, keys: list[Key], *, marker: bool) -> None:
        """Some keys of an old dump are restored into a server that runs on; with the marker what stands beside it."""
        for key in keys:
            if key in state.claims:
                self.set.claims[key] = state.claims[key]
            else:
                self.set.claims.pop(key, None)
        if marker:
            self.set.marker, self.set.carried = state.marker, state.carried
            self.set.seals = -1.0
        self.past.append(self.set.dump())


def _now(step: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        step.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("a script does not wait")


class Redis:
    """Addresses and the servers behind them."""

    def __init__(self, net: Net, lifetime_s: float, now_ms: Callable[[], int]) -> None:
        self.net = net
        self._lifetime_s = lifetime_s
        self._now_ms = now_ms
        self._started = 0
        self.servers: dict[str, Server] = {}
        """by address"""
        self.on_change: list[Callable[[], None]] = []

    def start(self, name: str, state: State | None = None) -> Server:
        """A server process, with what its disk or its primary gave it; always under a run id of its own."""
        self._started += 1
        server = Server(f"{name}.{self._started}", f"{self._started:040x}", self._lifetime_s, self._now_ms)
        if state is not None:
            server.set.load(state)
            server.past = [server.set.dump()]
        return server

    def at(self, address: str) -> Server:
        if address not in self.servers:
            self.servers[address] = self.start(address)
        return self.servers[address]

    def point(self, address: str, server: Server) -> Server:
        """From now on the address leads to this server; returns the one before, which lives on."""
        before, self.servers[address] = self.at(address), server
        return before

    def replica(self, address: str, lag: int = 0) -> Server:
        """A copy of the address's server without its last `lag` scripts, as a replica or its file would have it."""
        past = self.at(address).past
        return self.start(address, copy.copy(past[max(0, len(past) - 1 - lag)]))


class _Client:
    def __init__(self, redis: Redis, address: str) -> None:
        self._redis = redis
        self._address = address

    async def _ask(self, what: str, call: Callable[[Server], Any], *about: object) -> Any:
        net = self._redis.net.beside if what in BESIDE else self._redis.net

        def carried_out() -> Any:
            server = self._redis.at(self._address)
            if server.down:
                raise RedisUnavailable(f"{server.name} is down")
            answer = call(server)
            told = answer[0] if isinstance(answer, tuple) and type(answer) is tuple else answer
            told = sorted(told) if what == "noted" else _kept(told)
            net.history.note(who, f"redis.{what}", *about, "->", told, f"({server.name})")
            return answer

        who = net.who()
        try:
            return await net.ask(f"redis.{what}", carried_out, usual_s=REQUEST_S, timeout_s=TIMEOUT_S)
        except Lost:
            raise RedisUnavailable("Redis does not answer") from None


class SimDedup(_Client):
    """The port `Dedup` and the rest of the adapter's surface, each call one request."""

    def __init__(self, redis: Redis, address: str) -> None:
        super().__init__(redis, address)
        self.under: Callable[[], Under] = Under
        self._granted = Under()

    def _seen(self) -> Under:
        return self.under().at_least(self._granted)

    @property
    def granted(self) -> int:
        return self._seen().granted

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        async def call(*args: Any) -> Any:
            # Their order comes from a set's, which another run's hashes would change, and means nothing.
            shown = [sorted(args[0])] if name == "noted" else [_kept(value) for value in args]
            under = self._seen()
            answer, granted = await self._ask(
                name, lambda server: (server.carry_out(name, args, under), server.set.marker.granted), *shown
            )
            if name == "claim":
                self._granted = under._replace(granted=granted)
            return answer

        return call

    async def entries(self) -> AsyncIterator[tuple[Key, Claim]]:
        for key in await self._ask("entries", lambda server: list(server.set.claims)):
            claim = (await self.peek_all([key]))[0]
            if claim is not ABSENT:
                yield key, claim


class SimPace(_Client):
    """The port `Pace`."""

    async def lease(self, wanted: int, rate: float, *, quota: bool) -> Lease:
        return await self._ask("lease", lambda server: server.budget.lease(wanted, rate, quota=quota))  # type: ignore[no-any-return]

    async def leased(self) -> int:
        return int(await self._ask("leased", lambda server: server.budget.leased))

    async def set_room(self, left: float, leased_before: int) -> None:
        await self._ask("room", lambda server: server.budget.set_room(left, leased_before))

    async def quota_opens_s(self) -> float | None:
        return await self._ask("opens", lambda server: server.budget.opens_s())  # type: ignore[no-any-return]

    async def throttled(self) -> float:
        return float(await self._ask("throttled", lambda server: server.budget.throttled()))

    async def take_first(self, month: str, wanted: int, most: int) -> int:
        return int(await self._ask("first", lambda server: server.budget.take_first(month, wanted, most)))

    async def give_back_first(self, month: str, count: int) -> None:
        await self._ask("first", lambda server: server.budget.take_first(month, -count, 0))


def _kept(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) and not hasattr(value, "_fields") else value
