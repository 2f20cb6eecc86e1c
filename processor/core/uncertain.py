"""Mails in doubt: which they are by the ledger, and when one may be sent again without a person's word."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from processor.core.states import Claim
from schemas.codec import decode_delivery
from schemas.identity import Key
from schemas.records import EVIDENCE, Delivery, Outcome
from schemas.runtime.errors import BadRecord

__all__ = ["Doubt", "DoubtFold", "may_resend"]

MARGIN_MS = 60_000
"""Clocks of SES and ours differ a little: a sending time this much later is certainly later."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A mail of which nobody knows whether SES took it: held as uncertain, or dead by decision."""

    key: Key
    delivery: Delivery
    since_ms: int
    """When the ledger last said that nobody knows: the call began before. A person's decision says nothing."""

    @property
    def attempt(self) -> str:
        return self.delivery.attempt or ""

    def as_sent(self, claim: Claim, now_ms: int) -> Delivery:
        return msgspec.structs.replace(
            self.delivery,
            outcome=Outcome.SENT,
            message_id=claim.message_id,
            fingerprint=claim.fingerprint or self.delivery.fingerprint,
            at_ms=now_ms,
            reason=EVIDENCE,
            detail="the dedup set holds SES's acceptance",
            held=False,
            by=None,
        )


class DoubtFold:
    """A fold over the ledger that keeps only what is in doubt.

    A doubt, or another end, that came after SES's event had proved the acceptance was on its way to the ledger then: it
    says nothing.
    """

    def __init__(self) -> None:
        self._found: dict[bytes, Doubt] = {}
        self.overtaken: dict[bytes, Delivery] = {}
        """Proofs whose key's last entry is such a one: compaction would keep only that."""
        self._proven: dict[bytes, Delivery] = {}

    def add(self, key: bytes, value: bytes | None) -> None:
        """One more entry of the ledger."""
        try:
            delivery = decode_delivery(value) if value is not None else None
        except BadRecord:
            return
        doubtful = delivery is not None and delivery.in_doubt
        if delivery is not None and not delivery.by_ses and _stands(self._proven.get(key), delivery):
            self.overtaken[key] = self._proven[key]
            return
        self.overtaken.pop(key, None)
        if delivery is not None and doubtful:
            self._found[key] = _doubt(key, delivery, self._found.get(key))
            return
        self._found.pop(key, None)
        if delivery is not None and _told(delivery):
            self._proven[key] = delivery

    def doubts(self) -> list[Doubt]:
        """What is in doubt after the last entry."""
        return list(self._found.values())


def _told(delivery: Delivery) -> bool:
    """Whether SES's own word is behind it: accepted, or accepted and dropped."""
    accepted = delivery.outcome is Outcome.SENT and delivery.reason == EVIDENCE
    return accepted or (delivery.outcome is Outcome.DEAD and delivery.message_id is not None)


def _stands(proven: Delivery | None, later: Delivery) -> bool:
    """Whether SES's word stands over what came later: what was dropped may have been sent again, by another attempt."""
    return proven is not None and (proven.outcome is Outcome.SENT or proven.attempt == later.attempt)


def _doubt(key: bytes, delivery: Delivery, before: Doubt | None) -> Doubt:
    """One that follows another of the same attempt by a person's decision began with that; compaction may have removed
    it, and then the decision's own time is a later one, which is safe."""
    since_ms = delivery.at_ms
    if before and before.delivery.attempt == delivery.attempt and delivery.outcome is not Outcome.UNCERTAIN:
        since_ms = before.since_ms
    return Doubt(Key.from_bytes(key), delivery, since_ms)


def may_resend(doubt_at_ms: int, now_ms: int, feed_alive_ms: int, window_s: float, margin_ms: int = MARGIN_MS) -> bool:
    """Whether the absence of an event counts as proof that SES did not take the mail.

    It does when the window has passed since the doubt arose, and the feed has proved itself alive since: it has told of
    mails that were sent later. A feed that fell silent proves nothing.

    Args:
        doubt_at_ms: when the attempt was found in doubt.
        now_ms: now.
        feed_alive_ms: the latest sending time that the feed has told of; 0 for none.
        window_s: how long an event may take, seconds.
        margin_ms: by how much a later mail must be later.
    """
    window_ms = window_s * 1000
    waited = now_ms - doubt_at_ms >= window_ms
    return waited and feed_alive_ms >= doubt_at_ms + min(margin_ms, window_ms)
