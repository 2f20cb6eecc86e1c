"""SES's events of a month, followed and put beside its mails as the ledger tells of them."""

from __future__ import annotations

from processor.core.heard import Heard
from processor.core.months import Months
from processor.core.outcomes import Mail
from schemas.kafka.reading import Follower
from schemas.runtime.settings import Settings

__all__ = ["MonthEvents"]


class MonthEvents:
    """Reads ``email-events`` on from where the month begins."""

    def __init__(self, settings: Settings, months: Months, month: str) -> None:
        topic = settings.topics.events
        self._suffix = f":{month}".encode()
        self._events = Follower(settings, topic, months.starts(topic, [month]))
        self._heard = Heard()

    def hear(self, mails: dict[bytes, Mail]) -> None:
        """Puts what came since the last call beside `mails`; called once the ledger was read on.

        Raises `BrokerUnavailable`.
        """
        self._heard.again(mails)
        for record in self._events.news():
            if record.key is not None and record.key.endswith(self._suffix):
                self._heard.hear(mails, record.key, record.value)
