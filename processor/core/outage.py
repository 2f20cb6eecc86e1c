"""Is SES there? A connection breaker, as a state machine without a clock of its own.

Calls in a row that got nowhere (nothing could be written, or 5xx came back) say that SES is away. Then all wait, and
one call at a time tries whether it is back, at growing intervals: an outage costs a few mails in doubt, and no job.
"""

from __future__ import annotations

from math import inf

from processor.core.answers import NotBegun, RefusedForNow, RetryClass, Unknown, Verdict
from processor.core.retry import delay_s
from schemas.runtime.backoff import Backoff

__all__ = ["FAILURES_MAX", "Outage"]

FAILURES_MAX = 5
"""Calls in a row without an answer after which SES is away."""
_LOST = Backoff(interval_s=1, backoff_rate=2, max_attempts=1, max_delay_s=60)
"""After a probe that may have been accepted: each costs a mail in doubt, so no setting makes them come faster."""


class Outage:
    """`note` moves it; times are on the boot clock."""

    def __init__(self, unreachable: Backoff) -> None:
        """
        Args:
            unreachable: the waits between probes to which nothing could be written.
        """
        self._unreachable = unreachable
        self._failures = 0
        self._probes = 0
        self.since_s = inf
        """when SES went away; infinity while it is there"""
        self.probe_s = -inf
        """when the next call may try whether it is back"""

    @property
    def away(self) -> bool:
        return self._failures >= FAILURES_MAX

    @property
    def failing(self) -> bool:
        """Whether it is not this call alone that got no answer."""
        return self._failures > 1

    def room(self, now_s: float, at_once: int, active: int) -> int:
        """How many calls may start now: as many as are free, or one that tries.

        Args:
            now_s: now.
            at_once: calls at once.
            active: calls under way.
        """
        if not self.away:
            return at_once - active
        return 1 if now_s >= self.probe_s and active == 0 else 0

    def note(self, verdict: Verdict, now_s: float) -> None:
        """Takes note of an answer, or of none."""
        unwritten = isinstance(verdict, RefusedForNow) and verdict.retry is RetryClass.UNREACHABLE
        failed = unwritten or (isinstance(verdict, Unknown) and verdict.reason.startswith("http-5"))
        if failed or (self.away and isinstance(verdict, Unknown)):
            self._failed(now_s, self._unreachable if unwritten else _LOST)
        elif not isinstance(verdict, Unknown | NotBegun):
            self._failures = self._probes = 0
            self.since_s, self.probe_s = inf, -inf

    def _failed(self, now_s: float, backoff: Backoff) -> None:
        # Calls that were in the air when it went away say no more than those before.
        if self.away and now_s < self.probe_s:
            return
        self._failures = min(self._failures + 1, FAILURES_MAX)
        if self.away:
            self._probes += 1
            self.since_s = min(self.since_s, now_s)
            self.probe_s = now_s + delay_s(backoff, self._probes, 1.0)
