"""SES's events put beside the ledger: either may tell of a mail first, and both must agree on the message."""

from __future__ import annotations

from processor.core.arrivals import Said, further, read_told
from processor.core.outcomes import Mail, with_arrival

__all__ = ["Heard"]


class Heard:
    """Keeps what events say of messages that the ledger does not tell of yet."""

    def __init__(self) -> None:
        self._early: dict[tuple[bytes, str], Said] = {}

    def again(self, mails: dict[bytes, Mail]) -> None:
        """The ledger was read on: what was early may be told now."""
        early, self._early = self._early, {}
        for (key, message_id), said in early.items():
            self._take(mails, key, message_id, said)

    def hear(self, mails: dict[bytes, Mail], key: bytes, value: bytes | None) -> None:
        """Takes a record of ``email-events``."""
        told = read_told(value)
        if told is not None and told.said.arrival is not None:
            self._take(mails, key, told.message_id, told.said)

    def _take(self, mails: dict[bytes, Mail], key: bytes, message_id: str, said: Said) -> None:
        if (mail := with_arrival(mails.get(key), message_id, said)) is not None:
            mails[key] = mail
            return
        before = self._early.get((key, message_id))
        if before is None or further(before.arrival, said.arrival) is said.arrival:
            self._early[key, message_id] = said
