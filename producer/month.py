"""A month's jobs, from a staged source into the jobs topic.

source -> staging -> checks and diff in SQL -> the rules, for whatever is not certain -> the topic
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from shlex import quote
from typing import Any, Protocol

import msgspec

from producer.balance import Balance, check_expected
from producer.plan import OnDuplicate, Reject, verdict
from producer.publish import Publisher, Replaced
from producer.published import read_held, records_of_month, write_held
from producer.rejects import Rejects
from producer.staging.diff import Diff, Fresh, Moved
from producer.staging.staged import Staged
from schemas.control import MonthOpened
from schemas.runtime.errors import SourceError
from schemas.runtime.settings import Settings

__all__ = ["Opener", "Order", "Produced", "Tell", "publish_month"]

Tell = Callable[[str, int, int | None], None]
"""told of each step: its name, how much is done, how much there is, if that is known"""
TELL_EVERY = 5000
"""records"""
_READING = "reading what is published"


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
    expect_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Produced:
    """What came of it."""

    source: str
    snapshot: str
    balance: Balance
    changed: int
    rejects: Rejects

    @property
    def published(self) -> int:
        return self.balance.published

    def to_dict(self) -> dict[str, Any]:
        """With the rejects' number by reason in their place."""
        balance = self.balance
        return {
            "source": self.source,
            "snapshot": self.snapshot,
            "rows": balance.rows,
            "published": balance.published,
            "changed": self.changed,
            "unchanged": balance.unchanged,
            "cancelled": balance.cancelled,
            "rejected": len(self.rejects),
            "rejected_by_reason": self.rejects.by_reason,
            "replaced": balance.replaced,
            "filtered": balance.filtered,
            "after_limit": balance.after_limit,
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
    source: Staged,
    order: Order,
    tell: Tell,
    opener: Opener,
    replaced: Callable[[list[Replaced]], None],
    rejects: Rejects | None = None,
) -> Produced:
    """Publishes what the topic does not hold yet; in a dry run says what that would be.

    `replaced` is told of records that took the place of earlier ones, some hundreds at once. Raises `SourceError` for a
    source that must not be published, `BrokerUnavailable`, and `OutOfBalance`.
    """
    rejects = Rejects(source) if rejects is None else rejects
    check_expected(source.staging.count, order.expect_rows)
    tell(_READING, 0, None)
    opened = opener.opened()
    if opened is None and not order.dry_run:
        opener.look()
    path, known = _read_published(settings, source, order.month, opened, tell)
    diff = Diff(source, order.month, order.template, path if known else None)
    _refuse_moved(diff.moved(), order.month)

    def open_month() -> MonthOpened | None:
        # One that holds jobs and was not opened by now was published by 0.1, or by other means: it stays as it is.
        return opened or (opener.opened() if known else opener.open())

    publisher = Publisher(settings, order.include_cancelled, order.dry_run, open_month, replaced)
    publisher.unchanged = diff.unchanged
    _Pipeline(source, diff, publisher, rejects, order, tell).run()
    balance = Balance(
        rows=source.staging.count,
        published=publisher.published,
        unchanged=publisher.unchanged,
        cancelled=publisher.cancelled,
        rejected=len(rejects) - rejects.replaced,
        replaced=rejects.replaced,
        filtered=source.filtered,
        after_limit=source.after_limit,
    )
    balance.check()
    return Produced(source.name, source.snapshot, balance, publisher.changed, rejects)


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


class _Pipeline:
    """Rows on their last stretch: the certain ones in bulk, the others by the rules."""

    def __init__(
        self, source: Staged, diff: Diff, publisher: Publisher, rejects: Rejects, order: Order, tell: Tell
    ) -> None:
        self._source = source
        self._diff = diff
        self._publisher = publisher
        self._rejects = rejects
        self._order = order
        self._tell = tell
        self._rows = diff.rows
        self._done = diff.unchanged
        self._began_s = time.monotonic()
        names = [name if source.many else source.name for name, _, _ in source.staging.files]
        self._provenance = [f'{{"source":{_json(name)},"snapshot":{_json(source.snapshot)},"row":' for name in names]
        """of each file's jobs, as far as they have it in common"""

    def run(self) -> None:
        step = "planning" if self._order.dry_run else "publishing"
        self._tell(step, self._done, self._rows)
        for count in self._all():
            self._done += count
            self._keep_rate()
            self._tell(step, self._done, self._rows)
        self._tell(step, self._rows, self._rows)
        self._publisher.finish()

    def _all(self) -> Iterator[int]:
        # The doubtful first: what must not be published is known before the bulk goes out.
        for one in self._diff.doubtful():
            entry = verdict(
                one.row,
                one.last,
                month=self._order.month,
                template=self._order.template,
                on_duplicate=self._order.on_duplicate,
                source=self._source.name,
                snapshot=self._source.snapshot,
                now_ms=_now_ms(),
            )
            if isinstance(entry, Reject):
                self._rejects.add(entry)
            else:
                self._publisher.publish(entry, read_held(entry.user_id, entry.month, one.held))
            yield 1
        at_once = max(1, min(int(self._order.max_rate / 10), 2048)) if self._order.max_rate else 2048
        for batch in self._diff.fresh():
            jobs = self._jobs(batch)
            for start in range(0, len(jobs), at_once):
                self._publisher.publish_new(jobs[start : start + at_once])
                yield len(jobs[start : start + at_once])

    def _jobs(self, batch: list[Fresh]) -> list[tuple[bytes, bytes]]:
        """Key and value of each: the same bytes that the record would be encoded to."""
        month, now = f":{self._order.month}", f',"published_at_ms":{_now_ms()},"provenance":'
        return [
            ((user_id + month).encode(), f"{content}{now}{self._provenance[file]}{line}}}}}".encode())
            for user_id, content, file, line in batch
        ]

    def _keep_rate(self) -> None:
        rate = self._order.max_rate
        if rate > 0 and (ahead_s := self._publisher.published / rate - (time.monotonic() - self._began_s)) > 0:
            time.sleep(ahead_s)


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
