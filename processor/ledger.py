"""What a work leaves behind in the topics: intents, outcomes and dead letters as records."""

from __future__ import annotations

from collections.abc import Callable

from processor.core.decide import Settle
from processor.core.work import Work
from processor.ports import Produced
from schemas.codec import DEAD_LETTER_HEADER, encode
from schemas.errors import BadRecord
from schemas.identity import Key
from schemas.logs import Event, get_log
from schemas.records import Attempt, DeadLetter, Delivery, Outcome, Source
from schemas.topics import Topics

__all__ = ["Scribe"]

NO_PLACE = -1
"""Of what does not come from a record of the jobs topic."""

log = get_log()


class Scribe:
    """Writes records for one processor instance; every record goes to its job's partition."""

    def __init__(self, topics: Topics, instance: str, version: str, now_ms: Callable[[], int]) -> None:
        self._topics = topics
        self._instance = instance
        self._version = version
        self._now_ms = now_ms

    def intent(self, work: Work) -> Produced:
        return self._attempt(work, withdrawn=False)

    def withdrawal(self, work: Work) -> Produced:
        return self._attempt(work, withdrawn=True)

    def _attempt(self, work: Work, *, withdrawn: bool) -> Produced:
        attempt = Attempt(
            attempt=work.attempt,
            intended_at_ms=self._now_ms(),
            instance=self._instance,
            source=self._source(work),
            fingerprint=work.fingerprint,
            withdrawn=withdrawn,
        )
        return Produced(self._topics.attempts, work.record.partition, work.record.key, encode(attempt))

    def outcome(self, work: Work) -> list[Produced]:
        """The ledger's entry and the dead letter of a finished work, as far as it has them."""
        match work.result:
            case Settle() as settle:
                entry = [self._delivery(work, settle)] if work.key is not None else []
                if settle.outcome is Outcome.UNCERTAIN:
                    log.warning(Event.UNCERTAIN, key=str(work.key), reason=settle.reason, attempt=settle.attempt)
                return entry + ([self._dead_letter(work, settle.reason, settle.detail)] if settle.report else [])
            case skip if skip is not None and skip.report:
                if work.refusal is not None:
                    return [self._dead_letter(work, work.refusal.reason, work.refusal.detail)]
                detail = "the key's mail went out with other content; this record was not sent"
                return [self._dead_letter(work, "changed-after-sending", detail)]
        return []

    def event(self, key: Key, body: bytes) -> Produced:
        """An event of SES's, for `email-events`. The partition follows from the key."""
        return Produced(self._topics.events, NO_PLACE, key.to_bytes(), body)

    def proven(self, key: Key, attempt: str, message_id: str, kind: str) -> Produced:
        """The ledger's entry for a mail whose acceptance only SES's event told."""
        delivery = Delivery(
            outcome=Outcome.SENT,
            at_ms=self._now_ms(),
            source=Source(self._topics.jobs, NO_PLACE, NO_PLACE),
            instance=self._instance,
            attempt=attempt,
            message_id=message_id,
            reason="evidence",
            detail=f"SES's {kind} event proves that it was accepted",
            tries=1,
        )
        return Produced(self._topics.deliveries, NO_PLACE, key.to_bytes(), encode(delivery))

    def bad_event(self, body: bytes, bad: BadRecord) -> Produced:
        """A queue message that nobody can read, kept with its exact bytes."""
        letter = DeadLetter(
            reason=bad.code,
            detail=bad.detail,
            at_ms=self._now_ms(),
            source=Source("sqs", NO_PLACE, NO_PLACE),
            instance=self._instance,
            processor_version=self._version,
        )
        log.warning(Event.DEAD_LETTERED, reason=bad.code, detail=bad.detail)
        return Produced(self._topics.dead_letters, NO_PLACE, None, body, [(DEAD_LETTER_HEADER, encode(letter))])

    def _delivery(self, work: Work, settle: Settle) -> Produced:
        delivery = Delivery(
            outcome=settle.outcome,
            at_ms=self._now_ms(),
            source=self._source(work),
            instance=self._instance,
            fingerprint=work.fingerprint,
            attempt=settle.attempt,
            message_id=settle.message_id,
            reason=settle.reason,
            detail=settle.detail,
            tries=sum(work.tries.values()) + (settle.message_id is not None),
        )
        return Produced(self._topics.deliveries, work.record.partition, work.record.key, encode(delivery))

    def _dead_letter(self, work: Work, reason: str | None, detail: str | None) -> Produced:
        record = work.record
        letter = DeadLetter(
            reason=reason or "unknown",
            detail=detail or "",
            at_ms=self._now_ms(),
            source=self._source(work),
            instance=self._instance,
            processor_version=self._version,
            attempt=work.attempt or None,
            tries=sum(work.tries.values()),
        )
        log.warning(
            Event.DEAD_LETTERED, reason=letter.reason, detail=letter.detail, place=f"{record.partition}:{record.offset}"
        )
        headers = [*record.headers, (DEAD_LETTER_HEADER, encode(letter))]
        return Produced(self._topics.dead_letters, record.partition, record.key, record.value, headers)

    def _source(self, work: Work) -> Source:
        record = work.record
        return Source(self._topics.jobs, record.partition, record.offset, record.timestamp_ms)
