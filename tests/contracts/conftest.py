"""The dedup set on real Valkey and its twin in memory, by the same tests; and boto3 on the sandbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from uuid import uuid4

import pytest
import redis.asyncio
import uvloop

from infra.embedded import Stack
from processor.adapters.redis import RedisDedup
from processor.adapters.redis.client import Scripts
from processor.core.states import ABSENT, Claim
from schemas.identity import Key
from tests.simulation.dedup import MemoryDedup
from tests.simulation.net import real_net
from tests.simulation.redis_twin import Redis, SimDedup
from tests.support.sandbox import SandboxAdmin

LIFETIME_S = 60.0


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What a processor runs on where there is one."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(stack.env()["MAILONCE_REDIS_URL"], decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
def admin(sandbox: SandboxAdmin) -> Iterator[SandboxAdmin]:
    """The sandbox, as it was before the test and after it."""
    sandbox.reset()
    yield sandbox
    sandbox.reset()


class PokedDedup(RedisDedup):
    """The real one, with an operator at the Redis console."""

    async def poke(self, key: Key, claim: Claim) -> None:
        await self._client.hdel(self._bucket(key), key.user_id)
        if claim is not ABSENT:
            await self._client.hset(self._bucket(key), key.user_id, claim.to_text())

    async def set_marker(self, run: str) -> None:
        if run:
            await self._client.hset(self.marker, "run", run)
        else:
            await self._client.delete(self.marker)

    async def set_granted(self, count: int) -> None:
        await self._client.hset(self.marker, "granted", str(count))

    async def hide_id(self) -> None:
        """From now on it is a user who may not ask who the server is."""
        await self.forbid("info")

    async def forbid(self, command: str) -> None:
        """From now on it is a user who may not give this command, as if the server did not know it."""
        name = f"nobody-{uuid4().hex[:8]}"
        await self._client.acl_setuser(
            name, enabled=True, nopass=True, keys="*", categories=["+@all"], commands=[f"-{command}"]
        )
        known = self._client.connection_pool.connection_kwargs
        self._client = redis.asyncio.Redis(
            host=known["host"], port=known["port"], username=name, password="", decode_responses=True
        )
        self._run = Scripts(self._client).run

    async def break_seals(self) -> None:
        """Each is copied over itself, as tools copy keys: by its value and by what is left of its time."""
        for name in self._checkpoint_keys()[3:]:
            left_ms = await self._client.pttl(name)
            await self._client.set(name, await self._client.get(name), px=left_ms)

    async def set_lock(self, held: str) -> None:
        await self._client.delete(self.lock)
        if held:
            await self._client.set(self.lock, held, px=60_000)


class ShortLived(SimDedup):
    """The twin whose claims' lifetime a test may set, as it does the real one's."""

    @property
    def _lifetime_ms(self) -> int:
        return self._redis.at(self._address).set._lifetime_ms

    @_lifetime_ms.setter
    def _lifetime_ms(self, ms: int) -> None:
        self._redis.at(self._address).set._lifetime_ms = ms


async def make_whole(dedup: RedisDedup | MemoryDedup | SimDedup) -> None:
    """As the shortest of rebuilds does."""
    assert await dedup.lock_rebuild("whoever", 30)
    assert await dedup.set_whole("whoever")


@pytest.fixture
async def redis_dedup(client: redis.asyncio.Redis) -> AsyncIterator[PokedDedup]:
    dedup = PokedDedup(client, f"c{uuid4().hex[:8]}-", lifetime_s=LIFETIME_S)
    await make_whole(dedup)
    yield dedup
    await dedup._client.aclose()


@pytest.fixture(params=["redis", "memory", "simulated"])
async def dedup(request: pytest.FixtureRequest, redis_dedup: PokedDedup) -> PokedDedup | MemoryDedup | SimDedup:
    """All must obey the same laws."""
    if request.param == "redis":
        return redis_dedup
    if request.param == "simulated":
        simulated = ShortLived(Redis(real_net(), LIFETIME_S, lambda: time.time_ns() // 1_000_000), "redis")
        await make_whole(simulated)
        return simulated
    twin = MemoryDedup(LIFETIME_S, lambda: time.time_ns() // 1_000_000)
    await make_whole(twin)
    return twin
