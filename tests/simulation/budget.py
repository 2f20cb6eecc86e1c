"""The group's budget of rate and quota: ``lease.lua``, ``leased.lua``, ``room.lua`` and ``throttled.lua`` as one class.

Simpler where it may be: what was leased a moment ago is taken off at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf

from processor.ports import Lease

__all__ = ["Budget"]

BURST_S = 0.1
RECOVERY_PER_S = 0.02
SHARE_MIN = 0.05
MOMENT_MS = 1000


class Budget:
    """State of one server; a wipe begins a new one."""

    def __init__(self, now_ms: Callable[[], int], window_ms: int = 20_000) -> None:
        self.now_ms = now_ms
        self.leased = 0
        self._window_ms = window_ms
        self._tokens: float | None = None
        self._at_ms = now_ms()
        self._share = 1.0
        self._room: float | None = None
        self._throttled_ms = -MOMENT_MS
        self._spent: list[tuple[int, int]] = []
        self._first: Counter[str] = Counter()

    def take_first(self, month: str, wanted: int, most: int) -> int:
        granted = max(wanted, -self._first[month]) if wanted < 0 else max(0, min(wanted, most - self._first[month]))
        self._first[month] += granted
        return max(0, granted)

    def lease(self, wanted: int, rate: float, *, quota: bool) -> Lease:
        now = self.now_ms()
        passed_s = max(0, now - self._at_ms) / 1000
        self._at_ms = now
        self._share = min(1.0, self._share + passed_s * RECOVERY_PER_S)
        rate *= self._share
        capacity = max(1.0, rate * BURST_S)
        tokens = min(capacity, (capacity if self._tokens is None else self._tokens) + passed_s * rate)
        granted = min(wanted, int(tokens)) if rate > 0 else wanted
        room: float | None = inf
        if quota:
            room = self._room
            granted = max(0, min(granted, int(room) if room is not None else -2))
        self._tokens = tokens - granted if rate > 0 else tokens
        if granted:
            self.leased += granted
            if quota:
                self._room = room = (room or 0) - granted
                self._spent.append((now, granted))
        wait_s = max(0.0, 1 - self._tokens) / rate if rate > 0 else 0.0
        return Lease(granted, min(0.25, wait_s), room)

    def set_room(self, left: float, leased_before: int) -> None:
        self._room = max(0.0, left - max(0, self.leased - leased_before))

    def opens_s(self) -> float | None:
        """Seconds until the oldest mails of the window have left it."""
        now = self.now_ms()
        within = [at for at, _ in self._spent if now - at < self._window_ms]
        return (min(within) + self._window_ms - now) / 1000 if within else None

    def throttled(self) -> float:
        now = self.now_ms()
        if now - self._throttled_ms >= MOMENT_MS:
            self._share = max(SHARE_MIN, self._share / 2)
            self._throttled_ms, self._tokens = now, 0.0
        return self._share
