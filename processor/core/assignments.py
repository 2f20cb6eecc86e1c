"""Which partitions are ours, and how far each is settled.

A partition that leaves and comes back begins a new life: tickets of the former one belong to its closed window, and
nothing of them is recorded here any more.
"""

from __future__ import annotations

from collections.abc import Mapping

from processor.core.offsets import ROOM_MAX, Window
from processor.core.ticket import Ticket
from schemas.kafka.reading import Record

__all__ = ["Assignments"]


class Assignments:
    """The assigned partitions, a window each; a drain's targets beside them."""

    def __init__(self) -> None:
        self._windows: dict[int, Window] = {}
        self._targets: dict[int, int] = {}
        self._unreadable: dict[int, int] = {}

    # ---- who is here ----

    def assign(self, committed: Mapping[int, tuple[int, str]]) -> None:
        """Partitions came, with committed offset and metadata."""
        self.forget(frozenset(committed))
        for partition, (offset, metadata) in committed.items():
            self._windows[partition] = Window(offset, metadata)

    def forget(self, partitions: frozenset[int]) -> None:
        """These have left: their windows are closed, so that nothing of theirs is started."""
        for partition in partitions:
            if window := self._windows.pop(partition, None):
                window.closed = True

    @property
    def partitions(self) -> frozenset[int]:
        return frozenset(self._windows)

    def get(self, partition: int) -> Window | None:
        """The partition's window; ``None`` when it is not ours."""
        return self._windows.get(partition)

    def owns(self, ticket: Ticket) -> bool:
        """Whether the ticket's partition is ours, in the life in which the record was read."""
        return ticket.window is self._windows.get(ticket.record.partition)

    def is_settled(self, record: Record) -> bool:
        """Whether a record of a partition of ours has its outcome."""
        window = self._windows.get(record.partition)
        return window is not None and window.is_settled(record.offset)

    # ---- what cannot be read ----

    def meet_unreadable(self, places: Mapping[int, int]) -> None:
        """The reader of these partitions stands still before a batch, at these offsets."""
        self._unreadable |= places

    @property
    def unreadable(self) -> dict[int, int]:
        """Where partitions of ours still stand still."""
        windows = self._windows
        return {p: offset for p, offset in self._unreadable.items() if p in windows and windows[p].before(offset)}

    # ---- how far they are settled ----

    def reach_ends(self, ends: Mapping[int, int]) -> None:
        """The reader is at the end of these partitions, at these offsets."""
        for partition, offset in ends.items():
            if window := self._windows.get(partition):
                window.reach_end(offset)

    @property
    def prefixes(self) -> dict[int, int]:
        """The end of each partition's settled prefix."""
        return {partition: window.prefix for partition, window in self._windows.items()}

    @property
    def read_ahead(self) -> int:
        """Records read from the settled prefixes on."""
        return sum(window.size for window in self._windows.values())

    @property
    def full(self) -> frozenset[int]:
        """Partitions of which nothing more may be read now."""
        return frozenset(partition for partition, window in self._windows.items() if window.full)

    @property
    def room(self) -> int:
        """How many more records may be read at once, should they all be of one partition: of those that come with the
        poll as well."""
        return min((window.room for window in self._windows.values()), default=ROOM_MAX)

    @property
    def dirty(self) -> bool:
        """Whether there are offsets to commit."""
        return any(window.dirty for window in self._windows.values())

    def to_commit(self) -> dict[int, tuple[int, str]]:
        """Offset and metadata of each partition where they have changed."""
        return {partition: window.to_commit() for partition, window in self._windows.items() if window.dirty}

    def committed(self, offsets: Mapping[int, tuple[int, str]]) -> None:
        """A transaction with these offsets has committed."""
        for partition, (offset, _) in offsets.items():
            if window := self._windows.get(partition):
                window.committed(offset)

    # ---- a drain ----

    @property
    def targets(self) -> Mapping[int, int]:
        """Every partition's end when the drain began, whosever it is."""
        return self._targets

    def aim(self, targets: Mapping[int, int]) -> None:
        """A drain begins: what lies before these offsets is to be settled."""
        self._targets = dict(targets)

    @property
    def stuck(self) -> bool:
        """Whether nothing is left to do up to the targets but what cannot be read."""
        if not all(window.idle and not window.dirty for window in self._windows.values()):
            return False
        behind = {p for p, offset in self.prefixes.items() if offset < self._targets.get(p, 0)}
        return bool(behind) and behind <= self.unreadable.keys()

    @property
    def reached(self) -> bool:
        """Whether all that was read is settled and committed, up to the target of each of our partitions."""
        settled = all(window.idle and not window.dirty for window in self._windows.values())
        return settled and all(offset >= self._targets.get(p, 0) for p, offset in self.prefixes.items())
