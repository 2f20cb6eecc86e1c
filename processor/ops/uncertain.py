"""Mails of which nobody knows whether SES took them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.codec import decode_delivery
from schemas.identity import Key
from schemas.reading import partition_numbers, read_topic
from schemas.records import Delivery, Outcome
from schemas.settings import Settings

__all__ = ["Uncertain", "uncertain_mails"]


@dataclass(frozen=True, slots=True)
class Uncertain:
    key: Key
    delivery: Delivery

    def to_dict(self) -> dict[str, Any]:
        about = self.delivery
        return {
            "user_id": self.key.user_id,
            "month": self.key.month,
            "attempt": about.attempt,
            "at_ms": about.at_ms,
            "reason": about.reason,
            "detail": about.detail,
        }


def uncertain_mails(settings: Settings, month: str | None = None) -> Iterator[Uncertain]:
    """The ledger's uncertain mails, of one month if given; partition by partition."""
    suffix = f":{month}".encode() if month else b""
    for partition in partition_numbers(settings, settings.topics.deliveries):
        latest: dict[bytes, Delivery] = {}
        for record in read_topic(settings, settings.topics.deliveries, [partition]):
            if record.key is None or record.value is None or not record.key.endswith(suffix):
                continue
            delivery = decode_delivery(record.value)
            if delivery.outcome is Outcome.UNCERTAIN:
                latest[record.key] = delivery
            else:
                latest.pop(record.key, None)
        yield from (Uncertain(Key.from_bytes(raw), delivery) for raw, delivery in latest.items())
