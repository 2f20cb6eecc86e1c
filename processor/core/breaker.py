"""The breaker: a bad deploy or a bad month must not pour a month away into the dead letters."""

from __future__ import annotations

from collections import deque

__all__ = ["Breaker"]

WINDOW = 1000
WINDOW_MIN = 200
"""A share says nothing about fewer outcomes than this."""


class Breaker:
    """Counts outcomes; says when to halt. Zero switches a limit off."""

    def __init__(self, consecutive_max: int, share_max: float) -> None:
        self._consecutive_max = consecutive_max
        self._share_max = share_max
        self._run = 0
        self._window: deque[bool] = deque(maxlen=WINDOW)
        self._bad = 0

    def note(self, *, bad: bool) -> str | None:
        """Counts one outcome, `bad` when dead or uncertain; returns why to halt, or ``None``."""
        if len(self._window) == WINDOW:
            self._bad -= self._window[0]
        self._window.append(bad)
        self._bad += bad
        self._run = self._run + 1 if bad else 0
        if self._consecutive_max and self._run >= self._consecutive_max:
            return f"{self._run} jobs in a row were dead-lettered or uncertain"
        if self._share_max and len(self._window) >= WINDOW_MIN and self._bad >= self._share_max * len(self._window):
            return f"{self._bad} of the last {len(self._window)} jobs were dead-lettered or uncertain"
        return None
