"""A client for Redis or Valkey that repeats nothing by itself, and a server that may be trusted."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import hiredis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from processor.ports import BelowFloor, NotWhole, RebuildLost
from schemas.runtime.errors import RedisUnavailable, RedisUntrusted
from schemas.runtime.settings import Settings

__all__ = ["CLOSE_S", "Scripts", "asking", "check_server", "connect", "nameless"]

TIMEOUT_S = 5.0
CLOSE_S = 2.0
"""For saying goodbye to a server that may not listen."""
_POLICIES = {"noeviction"}


def connect(settings: Settings) -> redis.asyncio.Redis:
    """A client that does not retry by itself: a script whose answer was lost is repeated by the protocol's rules."""
    client = redis.asyncio.Redis.from_url(
        settings.redis_url.get_secret_value(),
        decode_responses=True,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    pool = client.connection_pool
    pool.connection_class = type("Connection", (_PackedInC, pool.connection_class), {})
    return client


class _PackedInC:
    """hiredis writes commands too: redis-py's asyncio connections only read with it, and a claim has 200 arguments."""

    def pack_command(self, *args: str | int | float | bytes) -> list[bytes]:
        first, *rest = args
        return [hiredis.pack_command((*str(first).split(), *rest))]  # type: ignore[arg-type]  # any number


async def check_server(client: redis.asyncio.Redis) -> None:
    """Refuses a server that may throw entries away, or does not tell who it is; raises `RedisUnavailable`."""
    try:
        run = await client.eval(_source("run"), 0)
        policy = await _policy(client) if run else ""
    except (RedisError, OSError) as error:
        raise RedisUnavailable(f"Redis does not answer: {error}; check MAILONCE_REDIS_URL") from error
    if not run:
        raise nameless()
    if policy and policy not in _POLICIES:
        raise RedisUntrusted(
            "redis-evicts",
            f"Redis has maxmemory-policy {policy}, which evicts keys: a forgotten key would be a second mail. "
            f"Set it to noeviction (CONFIG SET maxmemory-policy noeviction)",
        )


def nameless() -> RedisUntrusted:
    return RedisUntrusted(
        "redis-tells-no-id",
        "Redis does not tell its run id, so one that came back with older data would not be noticed: a second mail. "
        "Let the user of MAILONCE_REDIS_URL call INFO (ACL SETUSER name +info; no rename-command INFO)",
    )


def _source(name: str) -> str:
    """A script with what they share."""
    folder = files("processor.adapters").joinpath("lua")
    return "".join(folder.joinpath(f"{part}.lua").read_text() for part in ("prelude", "facts", name))


async def _policy(client: redis.asyncio.Redis) -> str:
    try:
        return str((await client.config_get("maxmemory-policy")).get("maxmemory-policy", ""))
    except ResponseError:
        # Managed services forbid CONFIG; INFO tells the same.
        return str((await client.info("memory")).get("maxmemory_policy", ""))


class Scripts:
    """A folder of Lua scripts on one client, with Redis's errors translated."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._scripts: dict[str, Any] = {}

    async def run(self, name: str, keys: list[str], args: list[str | int | float | bytes]) -> Any:
        if name not in self._scripts:
            self._scripts[name] = self._client.register_script(_source(name))
        try:
            return await self._scripts[name](keys=keys, args=args)
        except BusyLoadingError as error:
            raise RedisUnavailable(str(error)) from error
        except ResponseError as error:
            if str(error).startswith("NOTWHOLE"):
                raise NotWhole("the dedup set is not whole") from None
            if str(error).startswith("BELOW "):
                raise BelowFloor(str(error).split()[1]) from None
            if str(error).startswith("NOTHELD"):
                raise RebuildLost("the rebuild has lost its lock") from None
            raise RedisUnavailable(f"Redis refuses: {error}") from error
        except (RedisError, OSError, TimeoutError) as error:
            raise RedisUnavailable(f"Redis does not answer: {error}") from error


async def asking(call: Any) -> Any:
    try:
        return await call
    except (RedisError, OSError, TimeoutError) as error:
        raise RedisUnavailable(f"Redis does not answer: {error}") from error
