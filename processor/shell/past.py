"""Records of months that are closed for good: the dedup set has forgotten them, so the ledger says which have ended."""

from __future__ import annotations

from collections.abc import Sequence

from processor.core.decide import AfterClaim, WaitForOther
from processor.core.floor import skipped
from processor.core.ticket import Attempt
from processor.ports import Outcomes
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.logs import Event, get_log

__all__ = ["Past"]

log = get_log()


class Past:
    """Passes over what has its outcome; the rest is settled as any record that must not reach SES."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes

    async def look_up(self, attempts: Sequence[Attempt]) -> list[tuple[Attempt, AfterClaim]]:
        """Those among these that are not to be settled now, and what follows for each."""
        past = [attempt for attempt in attempts if attempt.ticket.past]
        if not past:
            return []
        try:
            entries = await self._outcomes.of([attempt.ticket.record for attempt in past])
        except BrokerUnavailable as error:
            log.warning(Event.KAFKA_SILENT, error=str(error), follows="the records are looked at again")
            return [(attempt, WaitForOther("")) for attempt in past]
        found = [(attempt, skipped(attempt.ticket, entry)) for attempt, entry in zip(past, entries, strict=True)]
        return [(attempt, skip) for attempt, skip in found if skip is not None]
