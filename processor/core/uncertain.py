"""Mails in doubt: which they are by the ledger, and when one may be sent again without a person's word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from processor.core.standing import Entry, stands
from processor.core.states import Claim
from schemas.codec import decode_delivery
from schemas.identity import Key
from schemas.records import EVIDENCE, Delivery, Outcome
from schemas.runtime.errors import BadRecord

__all__ = ["UncertainFold", "UncertainMail", "may_resend"]

MARGIN_MS = 60_000
"""Clocks of SES and ours differ a little: a sending time this much later is certainly later."""


@dataclass(frozen=True, slots=True)
class UncertainMail:
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


class _Known(NamedTuple):
    """What stands of a key."""

    entry: Entry
    delivery: Delivery
    since_ms: int
    """when it became uncertain"""


class UncertainFold:
    """A fold over the ledger that keeps what is in doubt, and what says that something is not.

    An `uncertain`, or another end, that came after SES's word about its attempt was on its way to the ledger then: it
    says nothing.

    Args:
        whole: keeps every key's last word, also those that are only one partition's usual end of a mail: for a look at
            a few keys in all partitions, in whatever order these are read.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._known: dict[bytes, _Known] = {}
        self.overtaken: dict[bytes, Delivery] = {}
        """Proofs whose key's last entry is such a one: compaction would keep only that."""

    def add(self, key: bytes, value: bytes | None, partition: int) -> None:
        """One more entry of a partition of the ledger; a tombstone: the user is forgotten."""
        if value is None:
            self.overtaken.pop(key, None)
            self._known.pop(key, None)
            return
        try:
            delivery = decode_delivery(value)
        except BadRecord:
            return
        known, entry = self._known.get(key), Entry.of(delivery, partition)
        if known is not None and not stands(entry, known.entry):
            if not delivery.by_ses and _told(known.delivery) and partition == known.entry.partition:
                self.overtaken[key] = known.delivery
            return
        self.overtaken.pop(key, None)
        if delivery.in_doubt or self._whole or _told(delivery) or delivery.by or delivery.overrides:
            self._known[key] = _Known(entry, delivery, _since_ms(delivery, known))
        else:
            self._known.pop(key, None)

    def mails(self) -> list[UncertainMail]:
        """What is in doubt after the last entry."""
        found = ((key, known) for key, known in self._known.items() if known.delivery.in_doubt)
        return [UncertainMail(Key.from_bytes(key), known.delivery, known.since_ms) for key, known in found]


def _told(delivery: Delivery) -> bool:
    """Whether SES's own word is behind it: accepted, or accepted and dropped."""
    accepted = delivery.outcome is Outcome.SENT and delivery.reason == EVIDENCE
    return accepted or (delivery.outcome is Outcome.DEAD and delivery.message_id is not None)


def _since_ms(delivery: Delivery, before: _Known | None) -> int:
    """An `uncertain` that follows another of the same attempt by a person's decision began with that; compaction may
    have removed it, and then the decision's own time is a later one, which is safe."""
    follows = before is not None and before.delivery.in_doubt and before.delivery.attempt == delivery.attempt
    if before is not None and follows and delivery.outcome is not Outcome.UNCERTAIN:
        return before.since_ms
    return delivery.at_ms


def may_resend(since_ms: int, now_ms: int, feed_alive_ms: int, window_s: float, margin_ms: int = MARGIN_MS) -> bool:
    """Whether the absence of an event counts as proof that SES did not take the mail.

    It does when the window has passed since the mail became uncertain, and the feed has proved itself alive since: it
    has told of mails that were sent later. A feed that fell silent proves nothing.

    Args:
        since_ms: when the attempt was found in doubt.
        now_ms: now.
        feed_alive_ms: the latest sending time that the feed has told of; 0 for none.
        window_s: how long an event may take, seconds.
        margin_ms: by how much a later mail must be later.
    """
    window_ms = window_s * 1000
    waited = now_ms - since_ms >= window_ms
    return waited and feed_alive_ms >= since_ms + min(margin_ms, window_ms)
