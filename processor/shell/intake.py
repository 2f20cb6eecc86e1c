"""From what was read to what is to be done: each record becomes a ticket of the engine, or is passed over."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from processor.core.engine import Engine
from processor.core.ticket import Ticket, examine
from processor.ports import Templates
from processor.shell.ahead import RECORDS_MAX, LookAhead
from processor.shell.scan import Scan
from schemas.kafka.reading import Record
from schemas.runtime.errors import BadRecord, Halted

__all__ = ["Intake", "IntakeConfig"]


@dataclass(frozen=True, slots=True)
class IntakeConfig:
    retention_months: int
    month: str = ""
    """Only records of this month are looked at; the others are passed over. Empty: all."""
    told_before: Container[tuple[int, int]] = frozenset()
    """Places of records without a readable key that have their dead letter already."""
    suppressed: Container[str] = frozenset()
    """Addresses that are not to be written to."""


class Intake:
    """Looks at records before anything is intended for them."""

    def __init__(
        self,
        config: IntakeConfig,
        engine: Engine,
        ahead: LookAhead,
        scan: Scan,
        templates: Templates,
        this_month: Callable[[], str],
    ) -> None:
        self._config = config
        self._month = f":{config.month}".encode() if config.month else b""
        self._engine = engine
        self._ahead = ahead
        self.scan = scan
        """Reads beside, and far before, what is taken here."""
        self._templates = templates
        self._this_month = this_month

    def count(self, room: int) -> int:
        """How many records are worth reading at once, and can be told of in a commit's metadata."""
        worth = RECORDS_MAX if self._ahead.active and room > 0 else max(room, 1)
        return min(worth, self._engine.assigned.room)

    async def take(self, records: Sequence[Record]) -> tuple[int, Halted | None]:
        """Gives the engine what concerns it; returns how many records were passed over, and why to halt, if so."""
        sent = await self._ahead.sent(records)
        passed_over, halt = 0, None
        for record, was_sent in zip(records, sent, strict=True):
            window = self._engine.assigned.get(record.partition)
            if window is None or not window.add(record.offset):
                continue
            ticket = None
            if self._concerns(record) and not (was_sent and not self._engine.holds(record.key)):
                ticket = examine(
                    record,
                    window,
                    this_month=self._this_month(),
                    retention_months=self._config.retention_months,
                    suppressed=self._config.suppressed,
                )
            if ticket is None or self._told(ticket):
                window.settle(record.offset)
                passed_over += 1
                continue
            ticket, halted = await self._checked(ticket)
            halt = halt or halted
            self._engine.accept(ticket)
        return passed_over, halt

    async def _checked(self, ticket: Ticket) -> tuple[Ticket, Halted | None]:
        """A mail that cannot be made must not reach SES; without its template nothing may."""
        if ticket.job is not None and ticket.refusal is None:
            try:
                await self._templates.check(ticket.job)
            except BadRecord as bad:
                return ticket.refused(bad), None
            except Halted as halted:
                return ticket, halted
        return ticket, None

    def _concerns(self, record: Record) -> bool:
        return not self._month or (record.key or b"").endswith(self._month)

    def _told(self, ticket: Ticket) -> bool:
        place = ticket.record.partition, ticket.record.offset
        return ticket.key is None and place in self._config.told_before
