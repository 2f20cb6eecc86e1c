"""How far a month's mails came, by ledger and SES's events alone: what its canary is judged by; and the gate itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from processor.adapters.followed import Followed
from processor.adapters.month_events import MonthEvents
from processor.adapters.months import read_months
from processor.core.canary import Rule
from processor.core.outcomes import Mail, MonthCounts, count, with_delivery
from processor.ports import Clock, ControlLog, Pace
from processor.shell.canary import CanaryGate, Looks
from processor.shell.control import Permission
from schemas.codec import decode_delivery
from schemas.kafka.reading import Record
from schemas.records import Delivery
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["FirstMails", "canary_gate"]

log = get_log()


def canary_gate(
    settings: Settings,
    pace: Pace,
    presence: Permission,
    feed_alive_ms: Callable[[], Awaitable[int]],
    control_log: ControlLog,
    clock: Clock,
    who: str,
) -> CanaryGate:
    """As the settings ask. Without a configuration set there are no events: it says that it cannot look, and all go."""
    rule = Rule.of(settings)
    if rule.count and not settings.configuration_set:
        why = "MAILONCE_CONFIGURATION_SET is empty, so no event says whether mails arrive: nobody can look"
        log.warning(Event.CANARY, error=why, follows="every month goes on without waiting for its first mails")
        rule = Rule()
    looks = Looks(FirstMails(settings).look, feed_alive_ms, control_log.change)
    return CanaryGate(rule, pace, presence, looks, clock, who)


class FirstMails:
    """Each month is read from its beginning at the first look, and then what came since. Looks block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._months: dict[str, _Month] = {}

    def look(self, month: str) -> MonthCounts:
        """Its mails that have an outcome. Raises `BrokerUnavailable`."""
        if month not in self._months:
            self._months[month] = _Month(self._settings, month)
        return self._months[month].refresh()


class _Month:
    def __init__(self, settings: Settings, month: str) -> None:
        months, ledger = read_months(settings), settings.topics.deliveries
        self._month = month
        self._suffix = f":{month}".encode()
        self._ledger = Followed(settings, ledger, self._delivery, months.starts(ledger, [month]))
        self._events = MonthEvents(settings, months, month)
        self._mails: dict[bytes, Mail] = {}

    def refresh(self) -> MonthCounts:
        for record, delivery in self._ledger.news():
            if record.key is not None and delivery is not None:
                self._mails[record.key] = with_delivery(self._mails.get(record.key), delivery, record.partition)
        self._events.hear(self._mails)
        return count(self._month, self._mails.values())

    def _delivery(self, record: Record) -> Delivery | None:
        """Of an entry of this month; of one that cannot be read the rebuild tells."""
        if record.key is None or record.value is None or not record.key.endswith(self._suffix):
            return None
        return decode_delivery(record.value)
