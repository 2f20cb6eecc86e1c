"""G5: whoever reads ahead asks for ends after a partition came, tells the engine, and goes on while Kafka is away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from processor.adapters.clock import SystemClock
from processor.core.engine import Engine
from processor.core.newest import Look
from processor.ports import Scanned
from processor.shell import scan
from processor.shell.scan import Scan
from schemas.kafka.reading import Record
from schemas.runtime.errors import BrokerUnavailable
from tests.simulation.log import MemoryJobLog, MemoryKafka
from tests.support.parts import until
from tests.support.world import MONTH


class Moody(MemoryJobLog):
    """Kafka does not answer its first questions."""

    silent = 3

    async def scan(self, looks: Mapping[int, Look], timeout_s: float) -> Scanned:
        if self.silent:
            self.silent -= 1
            raise BrokerUnavailable("the test says so")
        return await super().scan(looks, timeout_s)


async def test_a_partition_is_known_once_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before that nothing, then others are told; a record that comes later is known soon."""
    kafka, engine, told = MemoryKafka(1), Engine(), []
    key = f"u1:{MONTH}".encode()
    kafka.jobs[0].append(Record(0, 0, key, b"{}", [], 0))
    monkeypatch.setattr(scan, "WAIT_S", 0.01)
    running = asyncio.create_task(Scan(engine, Moody(kafka, "one"), SystemClock(), lambda: told.append(1)).run())
    try:
        await asyncio.sleep(0)
        assert not told
        engine.assign({0: (0, "")})
        assert engine.newest.unread == {0}
        await until(lambda: not engine.newest.unread)
        assert told == [1]
        kafka.jobs[0].append(Record(0, 1, key, None, [], 0))
        await until(lambda: engine.newest.superseded(kafka.jobs[0][0]))
    finally:
        running.cancel()
        await asyncio.wait({running})
