"""The floor: months before it are closed for good.

It rises by a named act alone, and is never lowered: what the dedup set knew of such a month is gone, so a job of it is
not attempted again, whatever becomes of settings, clocks and offsets. Where no floor was set yet nothing was forgotten,
and a job's age decides, as in 0.1.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from processor.core.control import Control
from processor.core.decide import Skip
from processor.core.standing import Entry
from processor.core.states import State
from processor.core.ticket import Ticket
from schemas.control import Content, Floor, control_key
from schemas.identity import months_later

__all__ = ["APART_MS_MAX", "Clocks", "first_month", "highest", "raising", "skipped"]

APART_MS_MAX = 86_400_000
"""The clocks that say which month is the present one must agree within this, in milliseconds."""


class Clocks(NamedTuple):
    """Asked of at one moment, in milliseconds since 1970."""

    process: int
    kafka: int
    redis: int

    @property
    def apart(self) -> str:
        """Why they do not say which month it is; empty: they agree."""
        if max(self) - min(self) <= APART_MS_MAX:
            return ""
        return (
            f"the clocks are more than a day apart: this machine says {_when(self.process)}, "
            f"Kafka {_when(self.kafka)}, Redis {_when(self.redis)}"
        )

    @property
    def month(self) -> str:
        """The present month, by the one that is behind."""
        return _when(min(self))[:7]


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def first_month(floor: str, this_month: str, retention_months: int) -> str:
    """The first month whose jobs may be attempted: the floor, or by their age where there is none."""
    return floor or months_later(this_month, 1 - retention_months)


def highest(control: Control, this_month: str, retention_months: int) -> str:
    """How far the floor may rise; empty as long as no month was opened."""
    newest = max(control.months, default="")
    return months_later(min(newest, this_month), -retention_months) if newest else ""


def raising(control: Control, month: str, now_ms: int, who: str) -> list[tuple[bytes, Content | None]]:
    """The record that raises the floor to a month; none where it stands there, or higher."""
    if month <= control.closed_before:
        return []
    floor = Floor(month=month, at_ms=now_ms, who=who)
    return [(control_key(floor), floor)]


def skipped(ticket: Ticket, entry: Entry | None) -> Skip | None:
    """What becomes of a record below the floor that has its outcome; ``None`` for one that has none.

    Args:
        ticket: of the record.
        entry: what the ledger says of its key, if anything.
    """
    if entry is None:
        return None
    resend = ticket.resend
    if resend and entry.state in {State.UNCERTAIN_RECORDED, State.DROPPED} and entry.attempt == resend.overrides:
        # Somebody gave leave to send again, and nobody answers them but by a letter. The mail stays uncertain.
        return Skip("its month is closed for good", report=True)
    if entry.state is not State.CLOSED:
        return Skip("its month is closed for good, and its key has an outcome")
    partition, offset, at_ms = entry.job
    record = ticket.record
    ended = offset >= record.offset if partition == record.partition else at_ms >= record.timestamp_ms
    return Skip("its month is closed for good, and it has an outcome") if ended or ticket.is_tombstone else None
