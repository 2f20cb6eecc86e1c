"""What an attempt leaves behind in the topics: intents, outcomes and dead letters as records."""

from __future__ import annotations

from collections.abc import Callable

from processor.core.decide import Settle
from processor.core.letters import LETTER_BYTES_DEFAULT, Original, fitted
from processor.core.ticket import Attempt, Finished, Ticket
from processor.ports import Produced
from schemas import records
from schemas.codec import encode
from schemas.limits import shortened
from schemas.records import DeadLetter, Delivery, Outcome, Source
from schemas.runtime.logs import Event, get_log
from schemas.topics import Topics

__all__ = ["Scribe"]

log = get_log()


class Scribe:
    """Writes records for one processor instance; every record goes to its job's partition."""

    def __init__(
        self,
        topics: Topics,
        instance: str,
        version: str,
        now_ms: Callable[[], int],
        letter_bytes_max: int = LETTER_BYTES_DEFAULT,
        process: str = "",
    ) -> None:
        self._topics = topics
        self._process = process
        self._letter_bytes_max = letter_bytes_max
        self._instance = instance
        self._version = version
        self._now_ms = now_ms

    def intent(self, attempt: Attempt) -> Produced:
        return self._attempt(attempt, withdrawn=False)

    def withdrawal(self, attempt: Attempt) -> Produced:
        return self._attempt(attempt, withdrawn=True)

    def _attempt(self, attempt: Attempt, *, withdrawn: bool) -> Produced:
        ticket = attempt.ticket
        entry = records.Attempt(
            attempt=attempt.id,
            intended_at_ms=self._now_ms(),
            instance=self._instance,
            source=self._source(ticket),
            fingerprint=ticket.fingerprint,
            withdrawn=withdrawn,
            resend=ticket.resend,
            process=self._process,
        )
        return Produced(self._topics.attempts, ticket.record.partition, ticket.record.key, encode(entry))

    def outcome(self, finished: Finished) -> list[Produced]:
        """The ledger's entry and the dead letter of a finished attempt, as far as it has them."""
        attempt, ticket = finished.attempt, finished.attempt.ticket
        match finished.result:
            case Settle() as settle:
                entry = [self._delivery(attempt, settle)] if ticket.key is not None else []
                if settle.outcome is Outcome.UNCERTAIN:
                    log.warning(Event.UNCERTAIN, key=str(ticket.key), reason=settle.reason, attempt=settle.attempt)
                if not settle.report:
                    return entry
                if ticket.refusal is not None:
                    return [*entry, self._dead_letter(attempt, ticket.refusal.reason, ticket.refusal.detail)]
                if settle.outcome is Outcome.SENT:
                    return [*entry, self._changed(attempt)]
                return [*entry, self._dead_letter(attempt, settle.reason, settle.detail)]
            case skip if skip.report:
                if ticket.refusal is not None:
                    return [self._dead_letter(attempt, ticket.refusal.reason, ticket.refusal.detail)]
                return [self._changed(attempt)]
        return []

    def fact(self, finished: Finished) -> Produced:
        """The ledger's entry alone of what SES accepted."""
        assert isinstance(finished.result, Settle)
        return self._delivery(finished.attempt, finished.result)

    def _changed(self, attempt: Attempt) -> Produced:
        detail = "the key's mail went out with other content; this record was not sent"
        return self._dead_letter(attempt, "changed-after-sending", detail)

    def _delivery(self, attempt: Attempt, settle: Settle) -> Produced:
        ticket = attempt.ticket
        delivery = Delivery(
            outcome=settle.outcome,
            at_ms=self._now_ms(),
            source=self._source(ticket),
            instance=self._instance,
            fingerprint=ticket.fingerprint if settle.fingerprint is None else settle.fingerprint,
            attempt=settle.attempt,
            message_id=settle.message_id,
            reason=settle.reason,
            detail=settle.detail and shortened(settle.detail),
            tries=sum(attempt.tries.values()) + (settle.message_id is not None),
            overrides=ticket.resend.overrides if ticket.resend and settle.attempt == attempt.id else "",
        )
        return Produced(self._topics.deliveries, ticket.record.partition, ticket.record.key, encode(delivery))

    def _dead_letter(self, attempt: Attempt, reason: str | None, detail: str | None) -> Produced:
        record = attempt.ticket.record
        letter = DeadLetter(
            reason=reason or "unknown",
            detail=shortened(detail or ""),
            at_ms=self._now_ms(),
            source=self._source(attempt.ticket),
            instance=self._instance,
            processor_version=self._version,
            attempt=attempt.id or None,
            tries=sum(attempt.tries.values()),
        )
        log.warning(
            Event.DEAD_LETTERED, reason=letter.reason, detail=letter.detail, place=f"{record.partition}:{record.offset}"
        )
        made = fitted(Original(record.key, record.value, record.headers), letter, self._letter_bytes_max)
        return Produced(self._topics.dead_letters, record.partition, made.key, made.value, made.headers)

    def _source(self, ticket: Ticket) -> Source:
        record = ticket.record
        return Source(self._topics.jobs, record.partition, record.offset, record.timestamp_ms)
