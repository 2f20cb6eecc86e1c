"""What a work leaves behind in the topics: intents, outcomes and dead letters as records."""

from __future__ import annotations

from collections.abc import Callable

from processor.core.decide import Settle
from processor.core.work import Work
from processor.ports import Produced
from schemas.codec import dead_letter_headers, encode
from schemas.logs import Event, get_log
from schemas.records import Attempt, DeadLetter, Delivery, Outcome, Source
from schemas.topics import Topics

__all__ = ["Scribe"]

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
            resend=work.resend,
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
        headers = dead_letter_headers(record.headers, letter)
        return Produced(self._topics.dead_letters, record.partition, record.key, record.value, headers)

    def _source(self, work: Work) -> Source:
        record = work.record
        return Source(self._topics.jobs, record.partition, record.offset, record.timestamp_ms)
