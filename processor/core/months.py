"""Where a month's records stand: over how many partitions its keys are spread, and where it begins in each topic.

A month is opened before its first job is written, and the first record of it stands. So a key never stands in two
partitions, however many are added meanwhile, and whoever reads a month starts at its beginning. A month without a
record begins at 0, and any partition may hold its keys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from processor.core.control import Control
from schemas.control import Brake, Content, Figures, MonthOpened, control_key
from schemas.identity import check_month
from schemas.kafka.reading import Record

__all__ = ["Months", "belongs", "month_of_key", "noting", "opening"]

_MONTH_CHARS = 7


def month_of_key(key: bytes | None) -> str:
    """The month at the end of a key; empty where there is none."""
    try:
        return check_month((key or b"")[-_MONTH_CHARS:].decode())
    except ValueError:
        return ""


def belongs(record: Record, opened: MonthOpened | None) -> int:
    """The partition of the jobs topic that the record belongs to, by how its month was opened; its own without that."""
    return record.partition if opened is None or record.key is None else opened.partition_of(record.key)


class Months:
    """The months of a control topic, as it was read."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def opened(self, month: str) -> MonthOpened | None:
        """How a month was opened."""
        return self._control.month(month)

    def of_key(self, key: bytes | None) -> MonthOpened | None:
        """How the month of a key was opened."""
        return self.opened(month_of_key(key))

    @property
    def brake(self) -> Brake:
        """What operators have set."""
        return self._control.brake

    @property
    def floor(self) -> str:
        """Months before it are closed for good; empty where no floor was set yet."""
        return self._control.closed_before

    def starts(self, topic: str, months: Collection[str]) -> dict[int, int]:
        """Where a reader of these months starts in each partition; at 0 in those that are left out."""
        each = [opened.starts(topic) if (opened := self.opened(month)) else {} for month in months]
        first: Mapping[int, int] = each[0] if each else {}
        return {number: min(one.get(number, 0) for one in each) for number in first}

    def partitions(self, keys: Iterable[bytes]) -> list[int] | None:
        """The partitions where these keys' records stand; ``None``: in any."""
        found = set()
        for key in keys:
            if (opened := self.of_key(key)) is None:
                return None
            found.add(opened.partition_of(key))
        return sorted(found)

    def misplaced(self, record: Record) -> bool:
        """Whether a record of the jobs topic stands where its key does not belong."""
        return belongs(record, self.of_key(record.key)) != record.partition


def opening(
    control: Control, month: str, begins: Mapping[str, Sequence[int]], jobs: str, now_ms: int
) -> list[tuple[bytes, Content | None]]:
    """The record that opens a month; none where one stands.

    Args:
        control: what the control topic says now.
        month: ``YYYY-MM``.
        begins: each topic's end by partition, asked for before the topics were found to hold nothing of the month.
        jobs: the jobs topic's name.
        now_ms: wall clock.
    """
    if month in control.months or control.installation is None:
        return []
    ids = {name: topic_id for name, topic_id in control.installation.topics.items() if name in begins}
    opened = MonthOpened(
        month=month,
        partitions=len(begins[jobs]),
        begins={name: list(ends) for name, ends in begins.items()},
        topics=ids,
        jobs_id=ids.get(jobs, ""),
        at_ms=now_ms,
    )
    return [(control_key(opened), opened)]


def noting(control: Control, month: str, figures: Figures) -> list[tuple[bytes, Content | None]]:
    """The month's record with these figures; none where it says so already, or where the month has no record."""
    opened = control.months.get(month)
    if opened is None or opened.figures == figures:
        return []
    return [(control_key(opened), msgspec.structs.replace(opened, figures=figures))]
