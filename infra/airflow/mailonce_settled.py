"""Waits until a month of mailonce has nothing pending, without holding a worker: for Airflow's `plugins` folder.

A trigger must be importable by the triggerer, so it cannot stand in the DAG's own file.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseSensorOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

__all__ = ["MonthSettledSensor", "MonthSettledTrigger"]


class MonthSettledTrigger(BaseTrigger):
    """Asks ``mailonce status --json`` again and again."""

    def __init__(self, month: str, every_s: float, command: str) -> None:
        super().__init__()
        self.month = month
        self.every_s = every_s
        self.command = command

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "mailonce_settled.MonthSettledTrigger", {
            "month": self.month,
            "every_s": self.every_s,
            "command": self.command,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while True:
            counts = await self._counts()
            # A Kafka that does not answer now may answer in a minute; the sensor's time-out is the end of patience.
            if counts is not None and counts["jobs"] and not counts["pending"]:
                yield TriggerEvent(counts)
                return
            await asyncio.sleep(self.every_s)

    async def _counts(self) -> dict[str, Any] | None:
        process = await asyncio.create_subprocess_exec(
            self.command,
            *("status", "--month", self.month, "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        if process.returncode:
            self.log.warning("mailonce status: %s", error.decode(errors="replace").strip())
            return None
        counts: dict[str, Any] = json.loads(out)
        self.log.info("pending: %s of %s", counts["pending"], counts["jobs"])
        return counts


class MonthSettledSensor(BaseSensorOperator):
    """Done when every job of the month has an outcome; its result is the month's counts."""

    template_fields = ("month",)

    def __init__(self, *, month: str, every_s: float = 60.0, command: str = "mailonce", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.month = month
        self.every_s = every_s
        self.command = command

    def execute(self, context: Any) -> None:  # noqa: ARG002 - Airflow calls it so
        self.defer(
            trigger=MonthSettledTrigger(self.month, self.every_s, self.command),
            method_name="settled",
            timeout=None,
        )

    def settled(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return event
