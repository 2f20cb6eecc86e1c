"""A month's jobs, from a source into the jobs topic."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from producer.plan import OnDuplicate, Reject, find_users, plan_of
from producer.publish import Publisher, Replaced, jobs_of_month
from producer.sources import Source
from schemas.control import MonthOpened
from schemas.records import Job
from schemas.runtime.settings import Settings

__all__ = ["Opener", "Order", "Produced", "Tell", "publish_month"]

Tell = Callable[[str, int, int | None], None]
"""told of each step: its name, how much is done, how much there is, if that is known"""
TELL_EVERY = 500
"""rows"""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be published, and how."""

    month: str
    template: str
    on_duplicate: OnDuplicate = OnDuplicate.ERROR
    include_cancelled: bool = False
    max_rate: float = 0
    """jobs a second; 0: as fast as it goes"""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Produced:
    """What came of it."""

    source: str
    snapshot: str
    rows: int
    published: int
    changed: int
    unchanged: int
    cancelled: int
    rejects: list[Reject]

    def to_dict(self) -> dict[str, Any]:
        """With the rejects' number by reason in their place."""
        return {
            "source": self.source,
            "snapshot": self.snapshot,
            "rows": self.rows,
            "published": self.published,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "cancelled": self.cancelled,
            "rejected": len(self.rejects),
            "rejected_by_reason": dict(Counter(reject.reason for reject in self.rejects)),
        }


class Opener(Protocol):
    """What is asked of a month: `opened`, `look`, and `open` where the jobs topic holds none of it."""

    def opened(self) -> MonthOpened | None: ...

    def look(self) -> None:
        """Notes where the topics end, before what is published is read."""
        ...

    def open(self) -> MonthOpened | None: ...


def publish_month(
    settings: Settings,
    source: Source,
    order: Order,
    tell: Tell,
    opener: Opener,
    replaced: Callable[[list[Replaced]], None],
) -> Produced:
    """Publishes what the topic does not hold yet; in a dry run says what that would be. Raises `BrokerUnavailable`.

    `replaced` is told of records that took the place of earlier ones, some hundreds at once.
    """
    step = "reading what is published"
    tell(step, 0, None)
    opened = opener.opened()
    if opened is None and not order.dry_run:
        opener.look()
    known = jobs_of_month(settings, order.month, lambda count: tell(step, count, None), opened)
    tell(step, len(known) or 1, len(known) or 1)
    users = find_users(source.user_ids())

    def open_month() -> MonthOpened | None:
        # One that holds jobs and was not opened by now was published by 0.1, or by other means: it stays as it is.
        return opened or (opener.opened() if known else opener.open())

    publisher = Publisher(settings, known, order.include_cancelled, order.dry_run, open_month, replaced)
    planned = plan_of(source, order.month, order.template, users, order.on_duplicate, _now_ms)
    rejects = _publish(publisher, planned, order, users.rows, tell)
    return Produced(
        source=source.name,
        snapshot=source.snapshot,
        rows=users.rows,
        published=publisher.published,
        changed=publisher.changed,
        unchanged=publisher.unchanged,
        cancelled=publisher.cancelled,
        rejects=rejects,
    )


def _publish(
    publisher: Publisher, planned: Iterable[Job | Reject], order: Order, rows: int, tell: Tell
) -> list[Reject]:
    """Returns what becomes no job."""
    step = "planning" if order.dry_run else "publishing"
    rejects: list[Reject] = []
    tell(step, 0, rows)
    began_s = time.monotonic()
    for count, entry in enumerate(planned, 1):
        if isinstance(entry, Reject):
            rejects.append(entry)
        else:
            publisher.publish(entry)
        if order.max_rate > 0 and (ahead_s := publisher.published / order.max_rate - (time.monotonic() - began_s)) > 0:
            time.sleep(ahead_s)
        if count % TELL_EVERY == 0 or order.max_rate > 0:
            tell(step, count, rows)
    tell(step, rows, rows)
    publisher.finish()
    return rejects


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
