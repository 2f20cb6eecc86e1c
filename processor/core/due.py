"""What may be attempted, and when: works ready for a call, works that need none, works in back-off.

Every work that was submitted stands in exactly one of the three until it is taken or dropped. Times are passed in, on
whatever clock the caller keeps to.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import inf

from processor.core.work import Work

__all__ = ["DueQueue"]


class DueQueue:
    """`ready` works wait for a free call, those `aside` for a look without one, `later` ones for their time."""

    def __init__(self) -> None:
        self._ready: deque[Work] = deque()
        self._aside: deque[Work] = deque()
        self._later: list[tuple[float, int, Work]] = []
        self._later_count = 0
        """Keeps those that are due at the same time in the order in which they were put off."""

    @property
    def ready(self) -> int:
        """Works that wait for a call."""
        return len(self._ready)

    @property
    def aside(self) -> int:
        """Works that are settled without a call."""
        return len(self._aside)

    @property
    def later(self) -> int:
        """Works whose time has not come."""
        return len(self._later)

    @property
    def empty(self) -> bool:
        return not (self._ready or self._aside or self._later)

    @property
    def next_s(self) -> float:
        """When the next work put off is due; infinity when there is none."""
        return self._later[0][0] if self._later else inf

    def submit(self, works: Iterable[Work]) -> None:
        """Takes works at the end of the line they belong to."""
        for work in works:
            self._line(work).append(work)

    def put_back(self, works: Sequence[Work]) -> None:
        """Takes works that were taken and not attempted, at the front and in their order."""
        for work in reversed(works):
            self._line(work).appendleft(work)

    def put_off(self, work: Work, due_s: float) -> None:
        """Takes a work that must not be attempted before `due_s`."""
        self._later_count += 1
        heapq.heappush(self._later, (due_s, self._later_count, work))

    def promote(self, now_s: float) -> None:
        """Moves what is due by now to the front of its line: it has waited longest."""
        due = []
        while self._later and self._later[0][0] <= now_s:
            due.append(heapq.heappop(self._later)[2])
        self.put_back(due)

    def take(self, count: int) -> list[Work]:
        """Up to `count` works for a call."""
        return _taken(self._ready, count)

    def take_aside(self, count: int) -> list[Work]:
        """Up to `count` works to be settled without one."""
        return _taken(self._aside, count)

    def drop(self, gone: Callable[[Work], bool]) -> list[Work]:
        """Forgets the works that are `gone`; returns them."""
        everyone = [*self._ready, *self._aside, *(work for _, _, work in self._later)]
        dropped = [work for work in everyone if gone(work)]
        if dropped:
            self._ready = deque(work for work in self._ready if not gone(work))
            self._aside = deque(work for work in self._aside if not gone(work))
            self._later = [entry for entry in self._later if not gone(entry[2])]
            heapq.heapify(self._later)
        return dropped

    def _line(self, work: Work) -> deque[Work]:
        return self._ready if work.needs_call else self._aside


def _taken(line: deque[Work], count: int) -> list[Work]:
    return [line.popleft() for _ in range(min(count, len(line)))]
