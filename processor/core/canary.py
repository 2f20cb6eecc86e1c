"""A month's canary: its first mails go out, the rest waits until SES's events say that they arrive. Pure.

What all processors wait for stands in the control topic: who begins to wait writes it, and whoever comes to a verdict
first; a restart finds both.
"""

from __future__ import annotations

from math import ceil

import msgspec

from processor.core.brake import UNDELIVERED, Change, pausing
from processor.core.control import Control
from processor.core.outcomes import MonthCounts, arrival_name
from schemas.control import Canary, CanaryState, control_key
from schemas.runtime.settings import Settings

__all__ = ["SETTLE_S", "Rule", "Verdict", "beginning", "judge", "ruling"]

SETTLE_S = 2.0
"""Until the first mails' outcomes stand in the ledger."""
WHO = "canary"


class Rule(msgspec.Struct, frozen=True):
    """What the settings ask of a month's first mails."""

    count: int = 0
    """so many go first; 0: no canary"""
    share: float = 0.9
    """of those that SES accepted must be delivered"""
    wait_s: float = 1800.0
    """so long is waited for that"""

    @classmethod
    def of(cls, settings: Settings) -> Rule:
        return cls(settings.canary, settings.canary_share, settings.canary_wait_s)


class Verdict(msgspec.Struct, frozen=True):
    passed: bool
    why: str


def judge(rule: Rule, counts: MonthCounts, waited_s: float, *, feed_alive: bool) -> Verdict | None:
    """What follows for the rest of the month; ``None``: it waits on.

    Args:
        rule: what is asked for.
        counts: the month's mails that have an outcome, and how far they came.
        waited_s: since the rest began to wait.
        feed_alive: whether SES's events ever came, of any mail.
    """
    if waited_s < SETTLE_S:
        return None
    came = counts.arrivals
    bad = {arrival.value: getattr(came, arrival_name(arrival)) for arrival in UNDELIVERED}
    accepted = counts.sent + came.rejected + came.rendering_failed
    need, lost = ceil(rule.share * accepted), sum(bad.values())
    told = f"{came.delivered} of the first {accepted} mails were delivered"
    if accepted and came.delivered >= need:
        return Verdict(True, told)
    words = ", ".join(f"{many} {name}" for name, many in bad.items() if many)
    if lost > accepted - need:
        return Verdict(False, f"{told}, {words}; {need} are asked for")
    if waited_s < rule.wait_s:
        return None
    if not accepted:
        return Verdict(False, f"none of the first mails was accepted by SES within {rule.wait_s:g} s")
    if not (feed_alive or lost or came.delivered or came.delayed):
        return Verdict(True, "nobody can look: no event ever came; does `mailonce evidence` run?")
    late = ", ".join(filter(None, (words, f"{came.delayed} delayed" if came.delayed else "")))
    return Verdict(False, f"{told} within {rule.wait_s:g} s{f' ({late})' if late else ''}; {need} are asked for")


def beginning(control: Control, month: str, rule: Rule, who: str, now_ms: int) -> Change:
    """Records that let the rest of a month wait for its first mails; none where that, or its end, stands there."""
    if month in control.canaries:
        return []
    state = CanaryState.WAITING
    begun = Canary(month=month, state=state, count=rule.count, since_ms=now_ms, at_ms=now_ms, who=who)
    return [(control_key(begun), begun)]


def ruling(control: Control, month: str, verdict: Verdict, now_ms: int) -> Change:
    """Records that end the waiting; a month that failed is paused with them. None where somebody was quicker."""
    waiting = control.canaries.get(month)
    if waiting is None or waiting.state is not CanaryState.WAITING:
        return []
    state = CanaryState.PASSED if verdict.passed else CanaryState.FAILED
    ended: Canary = msgspec.structs.replace(waiting, state=state, why=verdict.why, at_ms=now_ms, who=WHO)
    paused = [] if verdict.passed else pausing(control, month, f"canary: {verdict.why}", WHO, now_ms)
    return [*paused, (control_key(ended), ended)]
