"""Calls that come while one is under way go together in the next: one round trip for many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from schemas.runtime.errors import RedisUnavailable

__all__ = ["Together"]

GATHER_S = 0.001
"""A call waits so long for others: a round trip costs the client some 80 µs of CPU, for one item or for twenty."""

T = TypeVar("T")
R = TypeVar("R")


class Together(Generic[T, R]):
    """Makes a call for many a call for one; each gets its own answer, or the error of the call it went with."""

    def __init__(self, call: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        self._call = call
        self._next: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._next.append((item, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        try:
            while self._next:
                await asyncio.sleep(GATHER_S)
                batch, self._next = self._next, []
                await self._answer(batch)
        finally:
            self._running = None
            # When this was broken off, nobody knows whether the call took place: who asked may ask again.
            left, self._next = [*batch, *self._next], []
            _fail(left, RedisUnavailable("the call was broken off"))

    async def _answer(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._call([item for item, _ in batch])
            for (_, answer), found in zip(batch, answers, strict=True):
                if not answer.done():
                    answer.set_result(found)
        except Exception as error:  # noqa: BLE001 - it belongs to those who asked
            _fail(batch, error)


def _fail(batch: list[tuple[T, asyncio.Future[R]]], error: Exception) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)
