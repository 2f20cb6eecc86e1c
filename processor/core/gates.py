"""Why no call may start now: the processor halts, the quota is used up, SES or Redis is away, the set is not whole."""

from __future__ import annotations

from math import inf

from processor.core.breaker import Breaker
from processor.core.decide import Settle
from processor.core.outage import Outage
from processor.core.ticket import Finished
from schemas.records import Outcome
from schemas.runtime.backoff import RetryTable
from schemas.runtime.errors import Halted

__all__ = ["HURRY_S", "REDIS_RETRY_S", "Gates"]

REDIS_RETRY_S = 0.5
HURRY_S = 3.0
"""How much longer Redis is waited for when the process is to end."""


class Gates:
    """Each gate is closed and opened by name; times are on the boot clock."""

    def __init__(self, breaker: Breaker, outage: Outage | None = None) -> None:
        self._breaker = breaker
        self.outage = outage or Outage(RetryTable().unreachable)
        """While SES is away one call at a time tries whether it is back."""
        self.halted: Halted | None = None
        """For good: nothing is started any more, and the processor leaves for this reason."""
        self.quota_used_up = False
        """What needs no call goes on."""
        self.rebuilding = False
        """The dedup set is not whole: nothing is intended, or its rebuild would take the intent for a call."""
        self.redis_asked_s = -inf
        """Until then Redis, which did not answer, is left alone."""
        self.redis_until_s = inf
        """Until then what Redis is to be told is tried again."""

    def halt(self, halted: Halted, now_s: float) -> bool:
        """Nothing is started any more, and the process is to end. Returns whether for this reason: the first stands."""
        if self.halted is not None:
            return False
        self.halted = halted
        self.hurry(now_s)
        return True

    def hurry(self, now_s: float) -> None:
        """The process is to end: what Redis is to be told is tried a little longer, not until it answers."""
        self.redis_until_s = min(self.redis_until_s, now_s + HURRY_S)

    def redis_away(self, now_s: float) -> None:
        """It did not answer: it is asked again in a moment."""
        self.redis_asked_s = now_s + REDIS_RETRY_S

    def shut(self, now_s: float) -> bool:
        """Whether nothing at all may be started."""
        return self.halted is not None or now_s < self.redis_asked_s

    def no_call(self, now_s: float) -> bool:
        """Whether no call may be started."""
        return self.quota_used_up or self.shut(now_s)

    def room(self, now_s: float, at_once: int, active: int) -> int:
        """How many calls may start now, of so many at once, while so many are under way."""
        return 0 if self.no_call(now_s) else self.outage.room(now_s, at_once, active)

    def next_s(self, now_s: float, at_s: float) -> float:
        """When it is worth looking again, no later than `at_s`: then a call may try whether SES is back."""
        probe_s = self.outage.probe_s
        return min(at_s, probe_s) if probe_s > now_s else at_s

    @property
    def opens_s(self) -> float:
        """When it is worth looking again, where nothing at all may be started."""
        return self.redis_asked_s if self.halted is None else inf

    def note(self, finished: Finished) -> Halted | None:
        """Takes note of an outcome; a reason to halt when too many are bad. A partition that left counts elsewhere, and
        what befalls a month that is closed says nothing of the present one; nor does `uncertain` while SES is away."""
        result, ticket = finished.result, finished.attempt.ticket
        if not isinstance(result, Settle) or ticket.window.closed or ticket.past:
            return None
        if self.outage.away and result.outcome is Outcome.UNCERTAIN:
            return None  # an outage has its own word for it
        reason = self._breaker.note(bad=result.outcome in {Outcome.DEAD, Outcome.UNCERTAIN})
        return Halted("breaker", f"{reason}: see `mailonce dead-letters list`, then start again") if reason else None
