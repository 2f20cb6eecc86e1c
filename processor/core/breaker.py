"""The breaker: a bad deploy or a bad month must not pour a month away into the dead letters."""

from __future__ import annotations

from collections import deque

__all__ = ["Breaker"]

WINDOW = 1000
WINDOW_MIN = 200
"""A share says nothing about fewer outcomes than this."""


class Breaker:
    """Counts outcomes; says when to halt. Zero switches a limit off."""

    def __init__(
        self, consecutive_max: int, share_max: float, *, what: str = "jobs", bad: str = "dead-lettered or uncertain"
    ) -> None:
        """
        Args:
            consecutive_max: so many bad ones in a row.
            share_max: such a share of the last ones.
            what: is counted, in words.
            bad: what befell the bad ones, in words.
        """
        self._what, self._said = what, bad
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
            return f"{self._run} {self._what} in a row were {self._said}"
        if self._share_max and len(self._window) >= WINDOW_MIN and self._bad >= self._share_max * len(self._window):
            return f"{self._bad} of the last {len(self._window)} {self._what} were {self._said}"
        return None
