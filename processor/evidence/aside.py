"""Messages of the queue that tell of none of our mails: counted, and where an operator is to do something, said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from processor.core.evidence import Foreign
from schemas.runtime.logs import Event, get_log

__all__ = ["Aside"]

log = get_log()

SAY_EVERY_S = 60.0
SAID_MAX = 1000


class Aside:
    """Takes them, each thing to be said once a minute at most."""

    def __init__(self, counts: Counter[str], clock_s: Callable[[], float]) -> None:
        self._counts = counts
        self._clock_s = clock_s
        self._said_s: dict[str, float] = {}

    def take(self, foreign: Foreign) -> None:
        self._counts["foreign" if foreign.tagged else "untagged"] += 1
        now_s = self._clock_s()
        if not foreign.say or now_s - self._said_s.get(foreign.say, float("-inf")) < SAY_EVERY_S:
            return
        if len(self._said_s) >= SAID_MAX:
            self._said_s.clear()
        self._said_s[foreign.say] = now_s
        log.warning(Event.EVENT_NOTICE, what=foreign.why, follows=foreign.say)
