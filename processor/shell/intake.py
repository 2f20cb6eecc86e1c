"""From what was read to what is to be done: each record becomes a ticket of the engine, or is passed over."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from processor.core.answer_codes import TEMPLATE_MISSING
from processor.core.engine import Engine
from processor.core.floor import first_month
from processor.core.kept import FOR_EVER, Kept
from processor.core.months import belongs, month_of_key
from processor.core.offsets import Window
from processor.core.ticket import Ticket, examine, misplaced
from processor.ports import Templates
from processor.shell.ahead import RECORDS_MAX, LookAhead
from processor.shell.control import Months
from processor.shell.scan import Scan
from schemas.kafka.reading import Record
from schemas.runtime.errors import BadRecord, Halted, SesAway

__all__ = ["Intake", "IntakeConfig"]


@dataclass(frozen=True, slots=True)
class IntakeConfig:
    retention_months: int
    month: str = ""
    """Only records of this month are looked at; the others are passed over. Empty: all."""
    told_before: Container[tuple[int, int]] = frozenset()
    """Places of records of which no key says so that have their dead letter already."""
    suppressed: Container[str] = frozenset()
    """Addresses that are not to be written to."""
    kept: Kept = FOR_EVER
    """How long topics keep what they hold."""


Read = tuple[Record, Window]


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
        months: Months,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._config = config
        self._month = f":{config.month}".encode() if config.month else b""
        self._engine = engine
        self._ahead = ahead
        self.scan = scan
        """Reads beside, and far before, what is taken here."""
        self._templates = templates
        self._this_month = this_month
        self._months = months
        self._now_ms = now_ms
        self._asked: dict[str, int | None] = {}
        """Months without a record when they were first met: what was asked, or nothing once that was answered."""
        self._held: list[Read] = []
        """Records of a month that may have been opened a moment ago."""

    def count(self, room: int) -> int:
        """How many records are worth reading at once, and can be told of in a commit's metadata."""
        worth = RECORDS_MAX if self._ahead.active and room > 0 else max(room, 1)
        return min(worth if not self._held else 1, self._engine.assigned.room)

    async def take(self, records: Sequence[Record]) -> tuple[int, Halted | None]:
        """Gives the engine what concerns it; returns how many records were passed over, and why to halt, if so."""
        ready = self._ready(records)
        sent = await self._ahead.sent([record for record, _ in ready])
        passed_over, halt = 0, None
        for (record, window), was_sent in zip(ready, sent, strict=True):
            ticket = self._ticket(record, window, was_sent=was_sent) if self._concerns(record) else None
            if ticket is None or self._told(ticket):
                window.settle(record.offset)
                passed_over += 1
                continue
            ticket, halted = await self._checked(ticket)
            halt = halt or halted
            self._engine.accept(ticket)
        return passed_over, halt

    def _ready(self, records: Sequence[Record]) -> list[Read]:
        """What can be looked at now, those that were held among it; the order of a key's records stays."""
        found = self._held
        for record in records:
            window = self._engine.assigned.get(record.partition)
            if window is not None and window.add(record.offset):
                found.append((record, window))
        ready: list[Read] = []
        self._held = []
        for record, window in found:
            if not window.closed:
                (ready if self._is_known(month_of_key(record.key)) else self._held).append((record, window))
        return ready

    def _is_known(self, month: str) -> bool:
        """Whether it is known how the month was opened, or that nobody had opened it when its record was read.

        The job may have come sooner than the record that opens its month: to send it then could be wrong, to refuse it
        as well. A month that holds a job and no record never gets one.
        """
        if not month or self._months.opened(month) is not None:
            return True
        if month not in self._asked:
            self._asked[month] = self._months.ask()
        asked = self._asked[month]
        if asked is not None and self._months.answered(asked):
            asked = self._asked[month] = None
        return asked is None

    def _ticket(self, record: Record, window: Window, *, was_sent: bool) -> Ticket | None:
        """``None``: it is passed over."""
        partition = belongs(record, self._months.opened(month_of_key(record.key)))
        if partition != record.partition:
            return misplaced(record, window, partition) if record.value is not None else None
        if was_sent and not self._engine.holds(record.key):
            return None
        ticket = examine(record, window, floor=self._floor(), suppressed=self._config.suppressed)
        over = self._config.kept.job_is_over(record.timestamp_ms, self._now_ms())
        return ticket.over() if over and ticket.key is not None else ticket

    def _floor(self) -> str:
        """The first month whose jobs may be attempted. What the dedup set says counts as well as the control topic."""
        told = max(self._months.floor, self._engine.starts.floor)
        return first_month(told, self._this_month(), self._config.retention_months)

    async def _checked(self, ticket: Ticket) -> tuple[Ticket, Halted | None]:
        """A mail that cannot be made must not reach SES. Without its template it does not, and others may."""
        if ticket.job is not None and ticket.refusal is None:
            try:
                await self._templates.check(ticket.job)
            except BadRecord as bad:
                return ticket.refused(bad), None
            except Halted as halted:
                if halted.reason == TEMPLATE_MISSING:
                    return ticket.lacking(str(halted)), None
                return ticket, halted
            except SesAway:
                return ticket.without_check(), None
        return ticket, None

    def _concerns(self, record: Record) -> bool:
        return not self._month or (record.key or b"").endswith(self._month)

    def _told(self, ticket: Ticket) -> bool:
        place = ticket.record.partition, ticket.record.offset
        return ticket.key is None and place in self._config.told_before
