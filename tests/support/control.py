"""A simulated control topic in real time, and reading one until something has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from processor.ports import ControlLog, Produced
from schemas.codec import encode
from schemas.control import ControlRecord, Heartbeat, Lineage
from tests.simulation.control_log import SimControlLog
from tests.simulation.kafka import Kafka
from tests.simulation.net import real_net

__all__ = ["WAIT_S", "SimPlace", "beats", "read_until"]

WAIT_S = 60.0


class SimPlace:
    """The same, simulated."""

    def __init__(self) -> None:
        self._kafka = Kafka(real_net(), 1, transaction_s=WAIT_S)

    def make(self) -> ControlLog:
        return SimControlLog(self._kafka, "sim-control")

    def rival(self, lineage: Lineage) -> None:
        self._begin(lineage)
        self._kafka.end("sim-control", self._kafka.epochs["sim-control"], commit=True)

    def hang(self) -> None:
        self._begin(Lineage(id="hangs"))

    def _begin(self, lineage: Lineage) -> None:
        record = Produced("sim-control", 0, f"lineage:{lineage.id}".encode(), encode(lineage))
        self._kafka.add("sim-control", self._kafka.init("sim-control"), [record])


async def read_until(log: ControlLog, condition: Callable[[list[ControlRecord]], bool]) -> list[ControlRecord]:
    found: list[ControlRecord] = []
    async with asyncio.timeout(WAIT_S):
        while not condition(found):
            found += await log.read(0.5)
    return found


def beats(found: list[ControlRecord]) -> list[Heartbeat]:
    return [record.content for record in found if isinstance(record.content, Heartbeat)]
