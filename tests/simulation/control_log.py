"""The port `ControlLog` over the simulated Kafka."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from processor.core.control import Control
from processor.ports import Change, Produced
from schemas.codec import encode
from schemas.control import ControlRecord, Heartbeat, control_key, decode_control
from schemas.runtime.errors import BrokerUnavailable
from tests.simulation.kafka import Kafka, ProducerFenced, Refused
from tests.simulation.loop import OWNER
from tests.simulation.net import Lost

__all__ = ["SimControlLog", "read_control"]

REQUEST_S = 0.004
TIMEOUT_S = 2.0
ROUNDS_MAX = 20


def read_control(kafka: Kafka, topic: str) -> Control:
    """What the topic says now."""
    control = Control(kafka.topic_id(topic))
    for record in kafka.read(topic, 0, 0)[0]:
        if decoded := decode_control(record.offset, record.key, record.value):
            control.take(decoded, kafka.net.now_s())
    return control


class SimControlLog:
    """See `processor.ports.ControlLog` for the laws."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._kafka = kafka
        self._net = kafka.net
        self._topic = topic
        self._position = -1
        self._life = kafka.lives.get(topic, 0)
        self._last: asyncio.Task[None] | None = None
        """the last write: the next waits for it"""

    async def read(self, timeout_s: float) -> list[ControlRecord]:
        log = self._kafka.topic(self._topic)[0]
        if self._position < 0:
            self._position = log.start
        if self._position > log.end:
            self._position = log.end
            return [ControlRecord(-1, "lost", "out of range", None)]
        if self._kafka.stable_end(self._topic, 0) <= self._position:
            await self._kafka.written(self._topic, timeout_s)
        if self._net.loses("control.fetch", OWNER.get()):
            await asyncio.sleep(timeout_s)
            return []
        await asyncio.sleep(self._net.latency_s(0.002))
        records, self._position = self._kafka.read(self._topic, 0, self._position)
        return [found for r in records if (found := decode_control(r.offset, r.key, r.value))]

    def beat(self, heartbeat: Heartbeat) -> None:
        self._put(control_key(heartbeat), encode(heartbeat))

    def remove(self, process: str) -> None:
        self._put(f"process:{process}".encode(), None)

    def _put(self, key: bytes, value: bytes | None) -> None:
        self._last = asyncio.create_task(self._write(key, value, self._last))

    async def _write(self, key: bytes, value: bytes | None, before: asyncio.Task[None] | None) -> None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        with contextlib.suppress(BrokerUnavailable):  # the next one tells the same and more
            await self._ask("control.beat", lambda: self._kafka.publish(self._topic, key, value, partition=0))

    async def change(self, decide: Change) -> None:
        for _ in range(ROUNDS_MAX):
            try:
                return await self._change(decide)
            except (ProducerFenced, Refused, BrokerUnavailable):
                await asyncio.sleep(0.05)
        raise BrokerUnavailable("the control topic could not be changed")

    async def _change(self, decide: Change) -> None:
        kafka, topic = self._kafka, self._topic
        epoch = await self._ask("control.init", lambda: kafka.init(topic))
        control = await self._ask("control.read", lambda: read_control(kafka, topic))
        if not (records := decide(control)):
            return
        written = [Produced(topic, 0, key, encode(content) if content else None) for key, content in records]
        await self._ask("control.produce", lambda: kafka.add(topic, epoch, written))
        await self._ask("control.commit", lambda: kafka.end(topic, epoch, commit=True))

    async def release(self) -> None:
        await self._ask("control.release", lambda: self._kafka.init(self._topic))

    async def end_transactions(self, transactional_ids: Sequence[str]) -> None:
        for transactional_id in transactional_ids:
            try:
                await self._ask("kafka.end", lambda one=transactional_id: self._kafka.init(one))  # type: ignore[misc]
            except BrokerUnavailable:
                continue

    async def _ask(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return await self._net.ask(what, call, usual_s=REQUEST_S, timeout_s=TIMEOUT_S)
        except Lost:
            raise BrokerUnavailable("Kafka does not answer") from None

    async def stop(self) -> None:
        if self._last is not None:
            await asyncio.wait({self._last}, timeout=0.5)
