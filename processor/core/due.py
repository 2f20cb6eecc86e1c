"""What may be attempted, and when: attempts ready for a call, those that need none, those in back-off, those held.

Every attempt that was submitted stands in exactly one of the four until it is taken or dropped. Times are passed in,
on whatever clock the caller keeps to.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from math import inf

from processor.core.ticket import Attempt, Ticket

__all__ = ["DueQueue"]


class DueQueue:
    """`ready` attempts wait for a free call, those `aside` for a look without one, `later` ones for their time.

    Those that are held wait until more is known of their partition.
    """

    def __init__(self) -> None:
        self._ready: deque[Attempt] = deque()
        self._aside: deque[Attempt] = deque()
        self._later: list[tuple[float, int, Attempt]] = []
        self._later_count = 0
        """Keeps those that are due at the same time in the order in which they were put off."""
        self._held: list[Attempt] = []

    @property
    def ready(self) -> int:
        """Attempts that wait for a call."""
        return len(self._ready)

    @property
    def aside(self) -> int:
        """Attempts that are settled without a call."""
        return len(self._aside)

    @property
    def later(self) -> int:
        """Attempts whose time has not come."""
        return len(self._later)

    @property
    def empty(self) -> bool:
        return not (self._ready or self._aside or self._later or self._held)

    @property
    def next_s(self) -> float:
        """When the next one put off is due; infinity when there is none."""
        return self._later[0][0] if self._later else inf

    def submit(self, attempts: Iterable[Attempt]) -> None:
        """Takes attempts at the end of the line they belong to."""
        for attempt in attempts:
            self._line(attempt).append(attempt)

    def put_back(self, attempts: Sequence[Attempt]) -> None:
        """Takes what was taken and not attempted, at the front and in their order."""
        for attempt in reversed(attempts):
            self._line(attempt).appendleft(attempt)

    def put_off(self, attempt: Attempt, due_s: float) -> None:
        """Takes one that must not be attempted before `due_s`."""
        self._later_count += 1
        heapq.heappush(self._later, (due_s, self._later_count, attempt))

    def hold(self, attempt: Attempt) -> None:
        """Takes one whose partition is not known far enough."""
        self._held.append(attempt)

    def let_go(self, unread: Container[int]) -> None:
        """Moves what was held to the front, but for those of `unread` partitions."""
        held, self._held = self._held, []
        self._held = [attempt for attempt in held if attempt.ticket.record.partition in unread]
        self.put_back([attempt for attempt in held if attempt.ticket.record.partition not in unread])

    def promote(self, now_s: float) -> None:
        """Moves what is due by now to the front of its line: it has waited longest."""
        due = []
        while self._later and self._later[0][0] <= now_s:
            due.append(heapq.heappop(self._later)[2])
        self.put_back(due)

    def take(self, count: int) -> list[Attempt]:
        """Up to `count` for a call."""
        return _taken(self._ready, count)

    def take_aside(self, count: int) -> list[Attempt]:
        """Up to `count` to be settled without one."""
        return _taken(self._aside, count)

    def take_intended(self) -> list[tuple[Attempt, float]]:
        """Everything that waits for a call, also what was put off; each with its time, 0 for at once."""
        put_off = [(due_s, attempt) for due_s, _, attempt in sorted(self._later, key=lambda entry: entry[:2])]
        taken = [(attempt, 0.0) for attempt in (*self._held, *self._ready)]
        taken += [(attempt, due_s) for due_s, attempt in put_off if attempt.ticket.needs_call]
        self._ready.clear()
        self._held.clear()
        self._later = [entry for entry in self._later if not entry[2].ticket.needs_call]
        heapq.heapify(self._later)
        return taken

    def drop(self, gone: Callable[[Ticket], bool]) -> list[Attempt]:
        """Forgets those whose tickets are `gone`; returns them."""
        everyone = [*self._ready, *self._aside, *(attempt for _, _, attempt in self._later), *self._held]
        dropped = [attempt for attempt in everyone if gone(attempt.ticket)]
        if dropped:
            self._ready = deque(attempt for attempt in self._ready if not gone(attempt.ticket))
            self._aside = deque(attempt for attempt in self._aside if not gone(attempt.ticket))
            self._later = [entry for entry in self._later if not gone(entry[2].ticket)]
            heapq.heapify(self._later)
            self._held = [attempt for attempt in self._held if not gone(attempt.ticket)]
        return dropped

    def _line(self, attempt: Attempt) -> deque[Attempt]:
        return self._ready if attempt.ticket.needs_call else self._aside


def _taken(line: deque[Attempt], count: int) -> list[Attempt]:
    return [line.popleft() for _ in range(min(count, len(line)))]
