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
    since_ms: int
    """When the ledger last said that nobody knows: the call began before. A person's decision says nothing."""

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
        self._found: dict[bytes, Doubt] = {}
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
            self._found[key] = _doubt(key, delivery, self._found.get(key))
            return
        self._found.pop(key, None)
        if delivery is not None and delivery.outcome is Outcome.SENT and delivery.reason == EVIDENCE:
            self._proven[key] = delivery

    def doubts(self) -> list[Doubt]:
        """What is in doubt after the last entry."""
        return list(self._found.values())


def _doubt(key: bytes, delivery: Delivery, before: Doubt | None) -> Doubt:
    """One that follows another of the same attempt by a person's decision began with that; compaction may have removed
    it, and then the decision's own time is a later one, which is safe."""
    since_ms = delivery.at_ms
    if before and before.delivery.attempt == delivery.attempt and delivery.outcome is not Outcome.UNCERTAIN:
        since_ms = before.since_ms
    return Doubt(Key.from_bytes(key), delivery, since_ms)


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
        return self._fold.doubts()

    def overtaken(self) -> dict[bytes, Delivery]:
        """Proofs to be written once more, as of the last `now`."""
        return dict(self._fold.overtaken)
