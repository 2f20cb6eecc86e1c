"""Addresses that get no mail: mailonce's own list, a topic, beside SES's account list."""

from __future__ import annotations

from processor.adapters.followed import Followed
from processor.adapters.write import write_record
from schemas.codec import decode_suppression, encode
from schemas.kafka.reading import Record
from schemas.records import Suppression
from schemas.runtime.settings import Settings

__all__ = ["Suppressions", "write_suppression"]


class Suppressions:
    """Both lists as one container of addresses in lower case; `refresh` reads on."""

    def __init__(self, settings: Settings, of_account: frozenset[str] = frozenset()) -> None:
        self._list = Followed(settings, settings.topics.suppressions, _entry)
        self._of_account = of_account
        self.own: dict[str, Suppression] = {}

    def __contains__(self, address: object) -> bool:
        return address in self.own or address in self._of_account

    def refresh(self) -> None:
        """Takes in what came since the last time. Raises `BrokerUnavailable`."""
        for record, entry in self._list.news():
            address = (record.key or b"").decode(errors="replace")
            if entry is None:
                self.own.pop(address, None)
            else:
                self.own[address] = entry


def _entry(record: Record) -> Suppression | None:
    return None if record.value is None else decode_suppression(record.value)


def write_suppression(settings: Settings, address: str, entry: Suppression | None) -> None:
    """Puts an address on the list, or with ``None`` takes it off. Raises `BrokerUnavailable`."""
    write_record(settings, settings.topics.suppressions, address.encode(), None if entry is None else encode(entry))
