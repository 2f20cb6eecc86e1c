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
from schemas.kafka.reading import Record
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.logs import Event, get_log

__all__ = ["Bars"]

log = get_log()


class Bars:
    """One processor's: records that it does not call for are barred under its own name, letters are told under it."""

    def __init__(self, dedup: Dedup, letters: Letters) -> None:
        self._dedup = dedup
        self._letters = letters
        self._name = new_attempt_id()

    def name(self, attempt: Attempt) -> Attempt:
        """The attempt, of a record that is settled without a call, as it bars its key."""
        return attempt.barring(self._name)

    async def tell_once(
        self, attempts: Sequence[Attempt], follows: Sequence[decide.AfterClaim]
    ) -> list[decide.AfterClaim]:
        """What follows for each, now that one process at a time tells of a record: the others wait for its letter.

        Where nobody can say whether somebody has told, the record is looked at again. Raises `RedisUnavailable` and
        `NotWhole`.
        """
        after = list(follows)
        asked = [
            (number, attempt.ticket.record, step)
            for number, (attempt, step) in enumerate(zip(attempts, follows, strict=True))
            if isinstance(step, decide.Skip | decide.Settle) and _tells(attempt, step)
        ]
        mine, told = await self._who_tells([(record, step) for _, record, step in asked])
        for number, record, step in asked:
            place = (record.partition, record.offset)
            if place in told:
                after[number] = msgspec.structs.replace(step, report=False)
            elif place not in mine:
                after[number] = decide.WaitForOther("")
        return after

    async def _who_tells(
        self, asked: Sequence[tuple[Record, decide.Skip | decide.Settle]]
    ) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        """Of which places this process is to tell, and of which somebody has told."""
        if not asked:
            return set(), set()
        places = [(record.partition, record.offset) for record, _ in asked]
        ours = await self._dedup.tell(places, self._name)
        mine = {place for place, is_ours in zip(places, ours, strict=True) if is_ours}
        # What leaves a letter and nothing more is looked for once again before that is written.
        looked_for = [
            record
            for (record, step), place in zip(asked, places, strict=True)
            if place not in mine or isinstance(step, decide.Settle)
        ]
        try:
            return mine, await self._letters.told(looked_for) if looked_for else set()
        except BrokerUnavailable as error:
            log.warning(Event.KAFKA_SILENT, error=str(error), follows="the records are looked at again")
            return set(), set()

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


def _tells(attempt: Attempt, step: decide.Skip | decide.Settle) -> bool:
    """Whether it leaves a letter, and no bar of its own keeps others from leaving one, too."""
    barred = step is attempt.ticket.refusal and attempt.ticket.key is not None
    return step.report and not barred
