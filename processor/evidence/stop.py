"""A month of which too many mails do not arrive is paused for all processors, aloud."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from processor.core.brake import Undelivered, pausing
from processor.core.evidence import SesEvent
from processor.ports import Change
from schemas.runtime.logs import Event, get_log

__all__ = ["Stop"]

log = get_log()

WHO = "breaker"


class Stop:
    """Counts what SES's events say of mails that it accepted; pauses their month by the control topic."""

    def __init__(
        self, undelivered: Undelivered, change: Callable[[Change], Awaitable[object]], now_ms: Callable[[], int]
    ) -> None:
        """
        Args:
            undelivered: what was heard so far.
            change: of the control topic.
            now_ms: wall clock.
        """
        self._undelivered = undelivered
        self._change = change
        self._now_ms = now_ms

    async def note(self, events: Sequence[SesEvent]) -> None:
        """Takes events of our own mails; the same ones again change nothing. Raises `BrokerUnavailable`."""
        for event in events:
            self._undelivered.note(event.key.month, event.message_id, event.said.arrival)
        for month, why in list(self._undelivered.tripped.items()):
            await self._change(lambda control, month=month, why=why: pausing(control, month, why, WHO, self._now_ms()))  # type: ignore[misc]
            del self._undelivered.tripped[month]
            log.error(Event.MONTH_PAUSED, month=month, why=why, follows=f"then `mailonce resume --month {month}`")
