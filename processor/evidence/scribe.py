"""What SES's events leave behind in the topics. The partition of each record follows from its key."""

from __future__ import annotations

from collections.abc import Callable

from processor.core.evidence import SesEvent
from processor.core.letters import LETTER_BYTES_DEFAULT, Original, fitted
from processor.ports import BY_KEY, Produced
from schemas.codec import encode
from schemas.identity import NO_PLACE
from schemas.kafka.reading import Record
from schemas.records import EVIDENCE, DeadLetter, Delivery, Outcome, Source, Suppression
from schemas.runtime.errors import BadRecord
from schemas.runtime.logs import Event, get_log
from schemas.topics import Topics

__all__ = ["EventScribe"]

log = get_log()


class EventScribe:
    """Writes records for one evidence process."""

    def __init__(self, topics: Topics, instance: str, version: str, now_ms: Callable[[], int]) -> None:
        self._topics = topics
        self._instance = instance
        self._version = version
        self._now_ms = now_ms

    def event(self, event: SesEvent) -> Produced:
        """The event itself, for `email-events`."""
        return Produced(self._topics.events, BY_KEY, event.key.to_bytes(), event.body)

    def accepted(self, event: SesEvent) -> Produced:
        """The ledger's entry for a mail whose acceptance only SES's event told, or which came back since."""
        detail = f"SES's {event.kind} event proves that it was accepted"
        if event.feedback:
            detail = f"{event.kind}: {event.detail}"
        return self._outcome(event, Outcome.SENT, EVIDENCE, detail)

    def dropped(self, event: SesEvent) -> Produced:
        """The ledger's entry for a mail that SES accepted and threw away."""
        return self._outcome(event, Outcome.DEAD, event.reason, event.detail)

    def _outcome(self, event: SesEvent, outcome: Outcome, reason: str, detail: str) -> Produced:
        delivery = Delivery(
            outcome=outcome,
            at_ms=self._now_ms(),
            source=self._source(event),
            instance=self._instance,
            fingerprint=event.place.fingerprint,
            attempt=event.attempt,
            message_id=event.message_id,
            reason=reason,
            detail=detail,
            tries=1,
            feedback=event.feedback,
        )
        return Produced(self._topics.deliveries, BY_KEY, event.key.to_bytes(), encode(delivery))

    def letter(self, event: SesEvent, job: Record | None) -> Produced:
        """The dead letter of a mail that came back; with the job's bytes as far as the topic still has them."""
        detail = event.detail if job else f"{event.detail} (the job is no longer in the topic)"
        letter = self._letter(event.reason, detail, self._source(event), event.attempt)
        original = Original(event.key.to_bytes(), job.value if job else None, job.headers if job else [])
        return self._fitted(original, letter)

    def bad_event(self, body: bytes, bad: BadRecord) -> Produced:
        """A queue message that nobody can read, kept with its exact bytes."""
        letter = self._letter(bad.code, bad.detail, Source("sqs", NO_PLACE.partition, NO_PLACE.offset), None)
        return self._fitted(Original(None, body, []), letter)

    def _fitted(self, original: Original, letter: DeadLetter) -> Produced:
        made = fitted(original, letter, LETTER_BYTES_DEFAULT)
        return Produced(self._topics.dead_letters, BY_KEY, made.key, made.value, made.headers)

    def suppression(self, address: str, event: SesEvent) -> Produced:
        """From now on the address gets no mail."""
        entry = Suppression(
            reason=event.reason,
            at_ms=self._now_ms(),
            detail=event.detail,
            user_id=event.key.user_id,
            month=event.key.month,
        )
        return Produced(self._topics.suppressions, BY_KEY, address.encode(), encode(entry))

    def _letter(self, reason: str, detail: str, source: Source, attempt: str | None) -> DeadLetter:
        log.warning(Event.DEAD_LETTERED, reason=reason, detail=detail)
        return DeadLetter(
            reason=reason,
            detail=detail,
            at_ms=self._now_ms(),
            source=source,
            instance=self._instance,
            processor_version=self._version,
            attempt=attempt,
        )

    def _source(self, event: SesEvent) -> Source:
        return Source(self._topics.jobs, event.place.partition, event.place.offset)
