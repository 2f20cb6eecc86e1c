"""Where a batch of SES's events goes: facts into Redis, then everything it causes in one Kafka transaction.

The order makes it safe to die anywhere: what was not committed comes again, and a fact that stands already is told
once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from processor.adapters.letters import EventLetters
from processor.adapters.redis import RedisDedup
from processor.adapters.write import TransactionalWriter
from processor.core.evidence import Meaning, SesEvent, drop_is_news, is_early, proof_is_news
from processor.core.states import Claim, State
from processor.evidence.scribe import EventScribe
from processor.ports import Item, Produced
from schemas.kafka.reading import RecordReader
from schemas.records import Arrival
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import BadRecord
from schemas.runtime.logs import Event, get_log

__all__ = ["Sink"]

log = get_log()

_TOLD = {Arrival.DELIVERED, Arrival.DELAYED, Arrival.SOFT_BOUNCED}
"""Counted as they come; what else befalls a mail is counted once, with what it causes."""


class Sink:
    """Takes events to where they belong."""

    def __init__(
        self,
        scribe: EventScribe,
        dedup: RedisDedup,
        letters: EventLetters,
        jobs: RecordReader,
        writer: TransactionalWriter,
    ) -> None:
        self._scribe = scribe
        self._dedup = dedup
        self._letters = letters
        self._jobs = jobs
        self._writer = writer
        self.counts: Counter[str] = Counter()

    async def take(
        self, events: Sequence[SesEvent], bad: Sequence[tuple[bytes, BadRecord]], now_ms: int
    ) -> set[SesEvent]:
        """Takes all but those that are too early, which are returned; the rest is in Redis and Kafka after this.

        Raises `BrokerUnavailable` and `RedisUnavailable`: then take the same again.
        """
        noted = await self._noted(events)
        # Who died between Kafka and the note, or lost Redis since, has told of these all the same.
        lettered = {event.note for event in await self._letters.told([e for e in events if e.note not in noted])}
        noted |= lettered
        accepted = [event for event in events if event.meaning is Meaning.ACCEPTED]
        before = dict(zip(accepted, await self._dedup.prove([_item(event) for event in accepted]), strict=True))
        early = {event for event in accepted if is_early(event, before[event], now_ms)}
        records = [self._scribe.event(event) for event in events if event not in early and event.is_kept]
        records += [self._scribe.bad_event(body, why) for body, why in bad]
        told: set[tuple[str, str]] = set()
        for event in accepted:
            if event not in early and event.note not in noted | told:
                records += await self._acceptance(event, before[event], told)
        records += await self._drops([event for event in events if event.meaning is Meaning.DROPPED], noted, told)
        await self.write(records)
        told |= lettered
        # Redis may have been lost and rebuilt from what the ledger held before this: the facts are told once more.
        await self._dedup.prove([_item(event) for event in accepted if event.note in told])
        dropped = [event for event in events if event.meaning is Meaning.DROPPED and event.note in told]
        await self._dedup.record_drop([_item(event) for event in dropped])
        await self._dedup.note(sorted(told))
        self.counts["events"] += len(events) - len(early)
        self.counts.update(e.said.arrival.value for e in events if e.said.arrival in _TOLD and e not in early)
        self.counts["bad"] += len(bad)
        return early

    async def _noted(self, events: Sequence[SesEvent]) -> set[tuple[str, str]]:
        """What was told of these before."""
        notes = list({event.note for event in events})
        return {note for note, known in zip(notes, await self._dedup.noted(notes), strict=True) if known}

    async def _acceptance(self, event: SesEvent, before: Claim, told: set[tuple[str, str]]) -> list[Produced]:
        """What an acceptance that was not told of causes; adds to `told` what it tells."""
        if before.state is State.SENT and before.message_id != event.message_id and event.kind == "Send":
            self.counts["duplicates"] += 1
            log.error(Event.DUPLICATE_SEEN, key=str(event.key), message_id=event.message_id)
        if news := proof_is_news(event, before):
            self._resolved(event, before)
        if not news and not event.feedback:
            return []
        told.add(event.note)
        if not event.feedback:
            return [self._scribe.accepted(event)]
        self.counts[event.feedback] += 1
        suppressed = [self._scribe.suppression(address, event) for address in event.recipients]
        return [self._scribe.accepted(event), await self._letter(event), *suppressed]

    async def _drops(
        self, events: list[SesEvent], noted: set[tuple[str, str]], told: set[tuple[str, str]]
    ) -> list[Produced]:
        records: list[Produced] = []
        for event, before in zip(events, await self._dedup.drop([_item(event) for event in events]), strict=True):
            if drop_is_news(event, before) and event.note not in noted | told:
                told.add(event.note)
                records += [self._scribe.dropped(event), await self._letter(event)]
                self.counts["dropped"] += 1
        return records

    def _resolved(self, event: SesEvent, before: Claim) -> None:
        if before.state not in {State.SENT, State.SENDING}:
            self.counts["resolved"] += 1
            log.info(Event.RESOLVED, key=str(event.key), attempt=event.attempt, evidence=event.kind)

    async def _letter(self, event: SesEvent) -> Produced:
        job = await in_thread(self._jobs.get, event.place.partition, event.place.offset)
        return self._scribe.letter(event, job if job and job.key == event.key.to_bytes() else None)

    async def write(self, records: Sequence[Produced]) -> None:
        """One transaction. Raises `BrokerUnavailable`; whether it took place does not matter then: it is done again."""
        if records:
            await in_thread(self._writer.write, records)


def _item(event: SesEvent) -> Item:
    return Item(event.key, event.attempt, message_id=event.message_id, fingerprint=event.place.fingerprint)
