"""What the commands share: how answers are printed, and the dedup set of a command."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from processor.adapters.clock import SystemClock
from processor.adapters.redis import CLOSE_S, RedisDedup, connect
from schemas.ending import within
from schemas.errors import UsageError
from schemas.identity import Key
from schemas.settings import Settings

__all__ = ["dedup_of", "key_of", "now_ms", "parse_time", "print_json", "utc"]


def print_json(answer: Any) -> None:
    print(json.dumps(answer, ensure_ascii=False))  # noqa: T201 - the answer


def key_of(user: str, month: str) -> Key:
    try:
        return Key(user, month)
    except ValueError as error:
        raise UsageError(str(error)) from None


def utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def parse_time(text: str, option: str) -> int:
    """A time as milliseconds since 1970, UTC unless it says otherwise; raises `UsageError` that names the option."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option}: {text!r} is not a time: write 2026-11-01, 2026-11-01T08:30 (UTC) or 2026-11-01T08:30+01:00"
        ) from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


now_ms = SystemClock().now_ms


@asynccontextmanager
async def dedup_of(settings: Settings) -> AsyncIterator[RedisDedup]:
    client = connect(settings)
    try:
        yield RedisDedup.of(settings, client)
    finally:
        await within(CLOSE_S, client.aclose())
