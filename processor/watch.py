"""What is looked at while a processor runs: whether it should be restarted, and whether it may still be relied on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import redis.asyncio

from processor.adapters.clock import SystemClock
from processor.adapters.redis import check_server
from processor.adapters.suppressions import Suppressions
from processor.adapters.unreadable import advice
from processor.recovery.part import Part
from processor.shell.worker import Worker
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import (
    BrokerUnavailable,
    Halted,
    InstallationForeign,
    RedisForeign,
    RedisUnavailable,
    RedisUntrusted,
)
from schemas.runtime.settings import Settings

__all__ = ["cannot_read", "check", "look", "sick", "watch"]

STILL_S = 90.0
"""Longer than any one step may wait for Kafka."""
LOOK_EVERY_S = 0.25
CHECK_EVERY_S = 10.0


def sick(worker: Worker) -> str | None:
    """Why this processor should be restarted: its loop has stood still."""
    still_s = SystemClock().boot_s() - worker.turned_s
    return f"the loop has not turned for {still_s:.0f} s" if still_s > STILL_S else None


def cannot_read(settings: Settings, worker: Worker) -> str | None:
    """Why this processor has not all the jobs that it should have."""
    if not worker.joined:
        return "no partition is assigned"
    return "; ".join(advice(settings.topics.jobs, *place) for place in sorted(worker.unreadable.items())) or None


async def look(worker: Worker, look: Callable[[Worker], None] | None) -> None:
    while look is not None:
        await asyncio.sleep(LOOK_EVERY_S)
        look(worker)


async def check(part: Part, worker: Worker) -> None:
    """Halts the worker when the cluster, its topics or the dedup set are another installation's."""
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        try:
            await part.check()
        except InstallationForeign as foreign:
            worker.halt(foreign)
        except RedisForeign as foreign:
            worker.halt(InstallationForeign(str(foreign)))
        except (BrokerUnavailable, RedisUnavailable):
            pass  # whoever needs them finds out, and waits


async def watch(client: redis.asyncio.Redis, worker: Worker, suppressions: Suppressions, every_s: float) -> None:
    """Halts the worker when Redis may not be trusted any more; takes in addresses that were suppressed meanwhile."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await check_server(client)
        except RedisUntrusted as error:
            worker.halt(Halted(error.reason, str(error)))
        except RedisUnavailable:
            pass  # the next claim finds out, and waits
        with contextlib.suppress(BrokerUnavailable):
            await in_thread(suppressions.refresh)
