"""What the pages say of a whole month, kept up to date change by change. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from processor.core.outcomes import PENDING, arrival_name
from processor.dashboard.view import View
from schemas.records import Outcome

__all__ = ["MINUTE_MS", "MonthTotals", "Totals"]

MINUTE_MS = 60_000


@dataclass
class MonthTotals:
    """Counts of one month; each job stands in exactly one of `standings`."""

    standings: Counter[str] = field(default_factory=Counter)
    sent_by_minute: Counter[int] = field(default_factory=Counter)
    """minutes since 1970: mails"""
    reasons: Counter[str] = field(default_factory=Counter)
    """why mails are dead"""
    feedback: Counter[str] = field(default_factory=Counter)
    arrivals: Counter[str] = field(default_factory=Counter)
    """how far mails came, by SES's events"""
    lag: Counter[int] = field(default_factory=Counter)
    """partition: jobs without an outcome"""
    instances: dict[str, int] = field(default_factory=dict)
    """processor: when it last wrote an outcome"""
    uncertain: set[bytes] = field(default_factory=set)
    duplicates: int = 0

    def add(self, key: bytes, view: View, by: int) -> None:
        """Puts a view in (`by` 1) or takes it out again (-1)."""
        mail = view.mail
        standing = mail.standing
        self.standings[standing] += by
        if standing == PENDING:
            self.lag[mail.job_partition] += by
        if (sent_at_ms := view.sent_at_ms) is not None:
            self.sent_by_minute[sent_at_ms // MINUTE_MS] += by
        if standing == Outcome.DEAD.value:
            self.reasons[mail.reason or "unknown"] += by
        if mail.feedback:
            self.feedback[mail.feedback.value] += by
        if mail.arrival is not None:
            self.arrivals[arrival_name(mail.arrival)] += by
        self.duplicates += by * view.duplicates
        if standing == Outcome.UNCERTAIN.value:
            (self.uncertain.add if by > 0 else self.uncertain.discard)(key)
        if by > 0 and view.instance:
            self.instances[view.instance] = max(self.instances.get(view.instance, 0), mail.at_ms)


class Totals:
    """Every month's counts."""

    def __init__(self) -> None:
        self.months: defaultdict[str, MonthTotals] = defaultdict(MonthTotals)

    def change(self, key: bytes, before: View | None, after: View | None) -> None:
        """A mail's view was replaced. One that was never published and has no outcome is not counted."""
        month = self.months[key.decode(errors="replace").rpartition(":")[2]]
        if before is not None and _counts(before):
            month.add(key, before, -1)
        if after is not None and _counts(after):
            month.add(key, after, 1)


def _counts(view: View) -> bool:
    return view.mail.job_offset >= 0 or view.mail.outcome is not None
