"""The brake: months that are paused for all processors, by a person or by what SES's events say of their mails.

Of a paused month nothing is intended, claimed or called; calls in flight end, and intents that were not used are
withdrawn. Pure: what is written to the control topic is returned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container

import msgspec

from processor.core.breaker import Breaker
from processor.core.control import Control
from schemas.control import Brake, Canary, CanaryState, Content, control_key
from schemas.records import Arrival

__all__ = ["ALL", "UNDELIVERED", "Change", "Undelivered", "is_paused", "pausing", "resuming"]

ALL = "*"
"""in the place of a month: every one"""
SEEN_MAX = 10_000
UNDELIVERED = (
    Arrival.SOFT_BOUNCED,
    Arrival.HARD_BOUNCED,
    Arrival.COMPLAINED,
    Arrival.REJECTED,
    Arrival.RENDERING_FAILED,
)
"""How far mails came that did not arrive, or were not wanted"""

Change = list[tuple[bytes, Content | None]]
"""Records for the control topic"""


def is_paused(paused: Container[str], month: str) -> bool:
    return month in paused or ALL in paused


def pausing(control: Control, month: str, why: str, who: str, now_ms: int) -> Change:
    """Records that pause a month; none where it is paused already: the first reason stands."""
    if is_paused(control.brake.paused, month):
        return []
    paused = {**control.brake.paused, month: why}
    return [(control_key(control.brake), msgspec.structs.replace(control.brake, paused=paused, at_ms=now_ms, who=who))]


def resuming(control: Control, month: str, who: str, now_ms: int) -> Change:
    """Records that let a month go on, whatever stopped it, its canary too; `ALL`: every one. None where none waits."""
    paused = {name: why for name, why in control.brake.paused.items() if month not in {name, ALL}}
    records: Change = []
    if paused != control.brake.paused:
        brake: Brake = msgspec.structs.replace(control.brake, paused=paused, at_ms=now_ms, who=who)
        records.append((control_key(brake), brake))
    for canary in control.canaries.values():
        if canary.state is not CanaryState.PASSED and month in {canary.month, ALL}:
            passed: Canary = msgspec.structs.replace(
                canary, state=CanaryState.PASSED, why="resumed", at_ms=now_ms, who=who
            )
            records.append((control_key(passed), passed))
    return records


class Undelivered:
    """What SES's events say of each month's mails, until too many that it accepted did not arrive."""

    def __init__(self, consecutive_max: int, share_max: float) -> None:
        self._limits = consecutive_max, share_max
        self._breakers: dict[str, Breaker] = {}
        self._seen: set[tuple[str, Arrival]] = set()
        self._order: deque[tuple[str, Arrival]] = deque()
        self.tripped: dict[str, str] = {}
        """months to be paused, and why; whoever has paused one takes it out"""

    def note(self, month: str, message_id: str, arrival: Arrival | None) -> None:
        """Takes one event's word; the same word again counts for nothing."""
        word = (message_id, arrival) if arrival is not None else None
        if word is None or word[1] is Arrival.DELAYED or word in self._seen:
            return
        self._seen.add(word)
        self._order.append(word)
        if len(self._order) > SEEN_MAX:
            self._seen.discard(self._order.popleft())
        breaker = self._breakers.setdefault(
            month, Breaker(*self._limits, what="mails that SES accepted", bad="not delivered")
        )
        if why := breaker.note(bad=word[1] in UNDELIVERED):
            self.tripped.setdefault(
                month, f"{why}: see `mailonce status --month {month}` and `mailonce dead-letters list`"
            )
            del self._breakers[month]
