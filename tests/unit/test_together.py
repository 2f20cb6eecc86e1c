"""Calls that go together: nobody waits for an answer that cannot come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from processor.shell.together import Together
from schemas.runtime.ending import end
from schemas.runtime.errors import RedisUnavailable


async def test_each_gets_its_own_answer() -> None:
    """One round trip, many answers."""

    async def double(items: Sequence[int]) -> list[int]:
        return [2 * item for item in items]

    call = Together(double)
    assert await asyncio.gather(*(call(n) for n in range(20))) == [2 * n for n in range(20)]


async def test_who_asked_hears_of_a_call_that_was_broken_off() -> None:
    """Else they would wait for ever, and so would the process's end; and the next call must go out again."""
    called = asyncio.Event()

    async def never(items: Sequence[int]) -> list[int]:
        if called.is_set():
            return list(items)
        called.set()
        await asyncio.Event().wait()
        raise AssertionError

    call = Together(never)
    first = asyncio.ensure_future(call(1))
    await called.wait()
    second = asyncio.ensure_future(call(2))
    await asyncio.sleep(0)
    assert call._running is not None
    await end(call._running)
    for asked in (first, second):
        with pytest.raises(RedisUnavailable, match="broken off"):
            await asked
    assert await call(3) == 3


async def test_a_wrong_number_of_answers_is_everybodys_error() -> None:
    """A defect is loud, and no hang."""

    async def one_short(items: Sequence[int]) -> list[int]:
        return list(items)[1:]

    call = Together(one_short)
    found = await asyncio.gather(call(1), call(2), return_exceptions=True)
    assert [type(answer) for answer in found][-1] is ValueError
    assert await asyncio.gather(call(1), return_exceptions=True)


async def test_who_asks_no_more_is_not_answered() -> None:
    """They were cancelled while the call was under way; the others have their answers."""
    go_on = asyncio.Event()

    async def slow(items: Sequence[int]) -> list[int]:
        await go_on.wait()
        return list(items)

    call = Together(slow)
    gone, stays = asyncio.ensure_future(call(1)), asyncio.ensure_future(call(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.wait({gone})
    go_on.set()
    assert await stays == 2
