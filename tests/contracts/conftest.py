"""The dedup set on real Valkey, and boto3 on the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import redis.asyncio

from infra.embedded import Stack
from processor.adapters.redis import RedisDedup


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(stack.env()["MAILONCE_REDIS_URL"], decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
async def dedup(client: redis.asyncio.Redis) -> RedisDedup:
    dedup = RedisDedup(client, f"c{uuid4().hex[:8]}-", lifetime_s=0.3, retention_months=13)
    assert await dedup.set_whole((await dedup.server_run())[1])
    return dedup
