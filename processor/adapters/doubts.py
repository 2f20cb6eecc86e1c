"""The ledger's mails in doubt, kept up to date by reading on from where the last look ended."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from schemas.codec import decode_delivery
from schemas.errors import BadRecord
from schemas.identity import Key
from schemas.reading import Follower
from schemas.records import EVIDENCE, Delivery, Outcome

__all__ = ["Doubt", "DoubtFold", "Doubts"]


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
            reason=EVIDENCE,
            detail="the dedup set holds SES's acceptance",
            held=False,
            by=None,
        )


class DoubtFold:
    """A fold over the ledger that keeps only what is in doubt.

    A doubt that came after SES's event had proved the acceptance was on its way to the ledger then: it says nothing.
    """

    def __init__(self) -> None:
        self.found: dict[bytes, Delivery] = {}
        self.overtaken: dict[bytes, Delivery] = {}
        """Proofs whose key's last entry is such a doubt: compaction would keep only the doubt."""
        self._proven: dict[bytes, Delivery] = {}

    def add(self, key: bytes, value: bytes | None) -> None:
        """One more entry of the ledger."""
        try:
            delivery = decode_delivery(value) if value is not None else None
        except BadRecord:
            return
        doubtful = delivery is not None and delivery.in_doubt
        if doubtful and key in self._proven:
            self.overtaken[key] = self._proven[key]
            return
        self.overtaken.pop(key, None)
        if delivery is not None and doubtful:
            self.found[key] = delivery
            return
        self.found.pop(key, None)
        if delivery is not None and delivery.outcome is Outcome.SENT and delivery.reason == EVIDENCE:
            self._proven[key] = delivery


class Doubts:
    """The mails in doubt as of now."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._fold = DoubtFold()

    def now(self) -> list[Doubt]:
        """Every mail in doubt. Raises `BrokerUnavailable`."""
        for record in self._follower.news():
            if record.key is not None:
                self._fold.add(record.key, record.value)
        return [Doubt(Key.from_bytes(raw), delivery) for raw, delivery in self._fold.found.items()]

    def overtaken(self) -> dict[bytes, Delivery]:
        """Proofs to be written once more, as of the last `now`."""
        return dict(self._fold.overtaken)
