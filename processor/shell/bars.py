"""Bars: what keeps others from a key while its dead letter or its cancellation is on its way, and what follows when
none came.

A bar whose time is over frees nothing by itself: whoever set it may have died after its letter had committed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from processor.core import decide
from processor.core.ticket import Attempt
from processor.ports import Dedup, Item, Letters
from schemas.identity import new_attempt_id
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.logs import Event, get_log

__all__ = ["Bars"]

log = get_log()


class Bars:
    """One processor's: records that it does not call for are barred under its own name."""

    def __init__(self, dedup: Dedup, letters: Letters) -> None:
        self._dedup = dedup
        self._letters = letters
        self._name = new_attempt_id()

    def name(self, attempt: Attempt) -> Attempt:
        """The attempt, of a record that is settled without a call, as it bars its key."""
        return attempt.barring(self._name)

    async def look_up(self, attempts: Sequence[Attempt], follows: Sequence[decide.AfterClaim]) -> None:
        """Of keys whose bars have had their time, and which were put off: closes those whose record has its letter,
        and frees the others. Raises `RedisUnavailable` and `NotWhole`."""
        asked = [(a, step) for a, step in zip(attempts, follows, strict=True) if isinstance(step, decide.AskLetters)]
        if not asked:
            return
        try:
            told = await self._letters.told([attempt.ticket.record for attempt, _ in asked])
        except BrokerUnavailable as error:
            log.warning(Event.KAFKA_SILENT, error=str(error), follows="the keys are looked at again")
            return
        ended: list[Item] = []
        free: list[Item] = []
        for attempt, step in asked:
            record = attempt.ticket.record
            item = msgspec.structs.replace(Item.of(attempt), attempt=step.attempt)
            (ended if (record.partition, record.offset) in told else free).append(item)
        await self._dedup.close(ended)
        await self._dedup.release(free)
