"""A month's jobs, from a staged source into the jobs topic.

source -> staging -> checks and diff in SQL -> the rules, for whatever is not certain -> the guard -> the topic
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote
from typing import Any, Protocol

from producer.balance import Balance, check_expected
from producer.guard import Comparison, Guard
from producer.order import Order, Tell
from producer.pipeline import Pipeline
from producer.publish import Publisher, Replaced
from producer.published import records_of_month, write_held
from producer.rejects import Rejects
from producer.staging.compare import Beside, Moved, OtherIds, Shared
from producer.staging.diff import Diff
from producer.staging.staged import Staged
from schemas.control import Figures, MonthOpened
from schemas.records import Job
from schemas.runtime.errors import SourceError
from schemas.runtime.settings import Settings

__all__ = ["Opener", "Produced", "publish_month"]

TELL_EVERY = 5000
"""records"""
_READING = "reading what is published"


@dataclass(frozen=True, slots=True)
class Produced:
    """What came of it."""

    source: str
    snapshot: str
    balance: Balance
    changed: int
    rejects: Rejects
    found: Comparison
    beside: Beside

    @property
    def published(self) -> int:
        return self.balance.published

    def figures(self) -> Figures:
        """What the month holds now."""
        return Figures(jobs=self.found.jobs, id_forms=self.beside.id_forms())

    def to_dict(self) -> dict[str, Any]:
        """With the rejects' number by reason in their place."""
        balance = self.balance
        return {
            "source": self.source,
            "snapshot": self.snapshot,
            "rows": balance.rows,
            "published": balance.published,
            "changed": self.changed,
            **self.found.to_dict(),
            "unchanged": balance.unchanged,
            "cancelled": balance.cancelled,
            "rejected": len(self.rejects),
            "rejected_by_reason": self.rejects.by_reason,
            "replaced": balance.replaced,
            "filtered": balance.filtered,
            "after_limit": balance.after_limit,
        }


class Opener(Protocol):
    """What is asked of a month: `opened`, `look`, `before`, and `open` where the jobs topic holds none of it."""

    def opened(self) -> MonthOpened | None: ...

    def look(self) -> None:
        """Notes where the topics end, before what is published is read."""
        ...

    def open(self) -> MonthOpened | None: ...

    def before(self) -> Figures | None:
        """What the month before held when its producer ended; nothing where that is not known."""
        ...


def publish_month(
    settings: Settings,
    source: Staged,
    order: Order,
    tell: Tell,
    opener: Opener,
    replaced: Callable[[list[Replaced]], None],
    rejects: Rejects | None = None,
    guard: Guard | None = None,
) -> Produced:
    """Publishes what the topic does not hold yet, if `guard` has nothing against it; in a dry run says what that is.

    `replaced` is told of records that took the place of earlier ones, some hundreds at once. Raises `SourceError` for a
    source that must not be published, what `guard` raises, `BrokerUnavailable`, and `OutOfBalance`.
    """
    rejects = Rejects(source) if rejects is None else rejects
    check_expected(source.staging.count, order.expect_rows)
    tell(_READING, 0, None)
    opened = opener.opened()
    if opened is None and not order.dry_run:
        opener.look()
    path, known = _read_published(settings, source, order.month, opened, tell)
    diff = Diff(source, order.month, order.template, path if known else None)
    beside = Beside(diff)
    _refuse_moved(beside.moved(), order.month)
    pipeline = Pipeline(source, diff, rejects, order, tell)
    found = _looked_at(pipeline, diff, beside, opener.before(), guard)

    def open_month() -> MonthOpened | None:
        # One that holds jobs and was not opened by now was published by 0.1, or by other means: it stays as it is.
        return opened or (opener.opened() if known else opener.open())

    published = found.new + found.changed
    if not order.dry_run:
        publisher = Publisher(settings, open_month, replaced)
        pipeline.publish(publisher)
        published = publisher.written
    tally = pipeline.tally
    balance = Balance(
        rows=source.staging.count,
        published=published,
        unchanged=tally.unchanged,
        cancelled=tally.cancelled,
        rejected=len(rejects) - rejects.replaced,
        replaced=rejects.replaced,
        filtered=source.filtered,
        after_limit=source.after_limit,
    )
    balance.check()
    return Produced(source.name, source.snapshot, balance, tally.changed, rejects, found, beside)


def _looked_at(pipeline: Pipeline, diff: Diff, beside: Beside, last: Figures | None, guard: Guard | None) -> Comparison:
    """Plans all that is not certain, and shows the guard what is to be published."""
    pipeline.plan(guard.specimen if guard else lambda _: None)
    tally, new = pipeline.tally, pipeline.certain
    publishes = bool(tally.planned or new)
    if new and guard and (looks := guard.looks()) is not None:
        for row in beside.specimens(looks):
            if isinstance(entry := pipeline.judged(row), Job):
                guard.specimen(entry)
    found = Comparison(
        month=pipeline.month,
        rows=pipeline.rows + diff.staged.after_limit,
        new=tally.planned - tally.changed + new,
        changed=tally.changed,
        unchanged=tally.unchanged,
        gone=beside.gone,
        jobs=beside.live + tally.planned - tally.changed + tally.revived + new,
        left_out=diff.staged.after_limit,
        last=last,
        shared=beside.shared() if publishes else Shared(0, 0),
        shapes_cut=beside.cut,
        other_ids=beside.other_ids(last.id_forms if last else ()) if publishes else OtherIds(),
    )
    if guard:
        guard.decide(found)
    return found


def _read_published(
    settings: Settings, source: Staged, month: str, opened: MonthOpened | None, tell: Tell
) -> tuple[Any, int]:
    """A file with what the topic holds of the month, and how many records that is."""
    path, known = source.staging.folder.path / "published", 0
    with path.open("wb", buffering=1 << 20) as out:
        for known in write_held(records_of_month(settings, month, opened), month, out):
            if known % TELL_EVERY == 0:
                tell(_READING, known, None)
    tell(_READING, known or 1, known or 1)
    return path, known


def _refuse_moved(moved: list[Moved], month: str) -> None:
    """Raises `SourceError` for an address that is published under an id that the source no longer has."""
    if moved:
        first = moved[0]
        more = f", and {len(moved) - 1} more like it" if len(moved) > 1 else ""
        raise SourceError(
            f"line {first.line}: {first.address} stands in {month} under the id {first.old!r} already, which the "
            f"source no longer has, and would get a second mail under {first.new!r}{more}: nothing was published. If "
            f"it is the same person, keep the old id in the source; if the old mail is not to go out, cancel it first: "
            f"`mailonce cancel {quote(first.old)} {month}`"
        )
