"""Redis: may it be trusted with the claims?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from redis.exceptions import RedisError

from processor.adapters.control import read_control
from processor.adapters.installation import check_set
from processor.adapters.redis import CLOSE_S, RedisDedup, check_server, connect
from processor.doctor.finding import Finding, bad, fine, note
from processor.ports import ServerSeen
from schemas.runtime.ending import run, within
from schemas.runtime.errors import BrokerUnavailable, RedisForeign, RedisUnavailable, RedisUntrusted
from schemas.runtime.settings import Settings

__all__ = ["SKEW_S", "check_redis", "clock_finding"]

AREA = "redis"
SKEW_S = 5.0
"""Claims carry times of Redis's clock, and SES refuses a signature five minutes off: this is long before."""


def check_redis(settings: Settings) -> Iterator[Finding]:
    """Raises `RedisUnavailable`."""
    try:
        info, skew_s, seen, untrusted = run(_look(settings))
    except RedisUntrusted as error:
        yield bad(AREA, "run id", str(error), "ACL SETUSER name +info; no rename-command INFO")
        return
    version = info.get("valkey_version", info["redis_version"])
    yield fine(AREA, "answers", f"{info.get('server_name', 'redis')} {version}")
    if untrusted:
        yield bad(AREA, "maxmemory-policy", untrusted, "CONFIG SET maxmemory-policy noeviction")
    else:
        yield fine(AREA, "maxmemory-policy", "evicts nothing")
    yield from _persistence(info)
    yield from _memory(info)
    yield clock_finding(AREA, skew_s)
    yield from _whose(settings, seen)
    if seen.whole:
        yield fine(AREA, "dedup set", "the marker stands")
    else:
        yield note(
            AREA,
            "dedup set",
            "no marker: nobody sends before a rebuild",
            "it happens by itself when a processor starts",
        )


def _whose(settings: Settings, seen: ServerSeen) -> Iterator[Finding]:
    """Whether the dedup set is this installation's. Says nothing where Kafka does not say which that is."""
    try:
        ours = read_control(settings).installation
    except BrokerUnavailable:
        return
    if ours is None:
        return  # told of Kafka
    try:
        check_set(ours, seen)
    except RedisForeign as foreign:
        yield bad(AREA, "installation", str(foreign), "fix the address or the prefix, or `mailonce dedup adopt`")
    else:
        yield fine(AREA, "installation", f"the dedup set is {'this one' if seen.installation else 'nobody'}'s")


async def _look(settings: Settings) -> tuple[dict[str, Any], float, ServerSeen, str]:
    client = connect(settings)
    try:
        untrusted = ""
        try:
            await check_server(client)
        except RedisUntrusted as error:
            if error.reason != "redis-evicts":
                raise
            untrusted = str(error)
        info: dict[str, Any] = await client.info()
        seconds, micros = await client.time()
        seen = await RedisDedup.of(settings, client).server()
        return info, time.time() - (seconds + micros / 1e6), seen, untrusted
    except (RedisError, OSError) as error:
        raise RedisUnavailable(f"Redis does not answer: {error}; check MAILONCE_REDIS_URL") from error
    finally:
        await within(CLOSE_S, client.aclose())


def _persistence(info: dict[str, Any]) -> Iterator[Finding]:
    if info.get("aof_enabled") == 1:
        yield fine(AREA, "persistence", "append-only file")
        return
    yield note(
        AREA,
        "persistence",
        "no append-only file: a restart is a loss of all claims",
        "CONFIG SET appendonly yes; without it the set is rebuilt from Kafka, and nobody sends meanwhile",
    )


def _memory(info: dict[str, Any]) -> Iterator[Finding]:
    most, used = int(info.get("maxmemory", 0)), int(info["used_memory"])
    if most and used > 0.8 * most:
        yield bad(AREA, "memory", f"{used:,} of {most:,} bytes", "more memory: when it is full, no claim is granted")
    else:
        yield fine(
            AREA, "memory", f"{used / 1e6:,.0f} MB used, {f'{most / 1e6:,.0f} MB allowed' if most else 'no limit'}"
        )


def clock_finding(area: str, skew_s: float) -> Finding:
    """This machine's clock beside another's."""
    if abs(skew_s) > SKEW_S:
        ahead = "ahead" if skew_s > 0 else "behind"
        return bad(area, "clock", f"this machine is {abs(skew_s):,.0f} s {ahead}", "let NTP set the clock on both")
    return fine(area, "clock", f"within {max(abs(skew_s), 0.1):.1f} s of this machine's")
