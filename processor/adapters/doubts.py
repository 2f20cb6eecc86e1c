"""The ledger's mails in doubt, kept up to date by reading on from where the last look ended."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from schemas.codec import decode_delivery
from schemas.errors import BadRecord
from schemas.identity import Key
from schemas.reading import Follower
from schemas.records import Delivery, Outcome

__all__ = ["Doubt", "Doubts", "fold"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """A mail of which nobody knows whether SES took it: held as uncertain, or dead by decision."""

    key: Key
    delivery: Delivery

    @property
    def attempt(self) -> str:
        return self.delivery.attempt or ""

    def as_sent(self, message_id: str, now_ms: int) -> Delivery:
        return msgspec.structs.replace(
            self.delivery,
            outcome=Outcome.SENT,
            message_id=message_id,
            at_ms=now_ms,
            reason="evidence",
            detail="the dedup set holds SES's acceptance",
            held=False,
            by=None,
        )


@dataclass(slots=True)
class Doubts:
    """A fold over the ledger that keeps only what is in doubt."""

    follower: Follower
    _found: dict[bytes, Delivery] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    """Attempts that were asked to be sent again already."""

    def now(self) -> list[Doubt]:
        """Every mail in doubt as of now. Raises `BrokerUnavailable`."""
        for record in self.follower.news():
            if record.key is not None:
                fold(self._found, record.key, record.value)
        return [
            Doubt(Key.from_bytes(raw), delivery)
            for raw, delivery in self._found.items()
            if delivery.attempt not in self.asked
        ]


def fold(found: dict[bytes, Delivery], key: bytes, value: bytes | None) -> None:
    """One more entry of the ledger: the last one counts."""
    try:
        delivery = decode_delivery(value) if value is not None else None
    except BadRecord:
        return
    if delivery is not None and (delivery.outcome is Outcome.UNCERTAIN or delivery.held):
        found[key] = delivery
    else:
        found.pop(key, None)
