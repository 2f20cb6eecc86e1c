"""Which other processes have certainly not been current since something was seen of them. Pure.

A process calls only while it is current: for some seconds from the writing of a heartbeat that it has since read.
Whoever reads late takes a process for silent that beats; so silence counts only up to the writing of a heartbeat of
one's own that came back: whatever others had written before that was read by then.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from schemas.control import CURRENT_S

__all__ = ["Lapses"]


class _Heard(NamedTuple):
    until_s: float
    """how long its last heartbeat may keep it current"""
    lapsed_s: float
    """up to when it had lapsed before it was heard again"""


class Lapses:
    """The others as this process has heard them. Times are of its own boot clock, in seconds.

    A process that was never heard, or was silent for too long, is not kept: it has lapsed up to the latest proof.
    """

    def __init__(self, current_s: float = CURRENT_S) -> None:
        """
        Args:
            current_s: how long a heartbeat keeps a process current that was heard by nobody here.
        """
        self._current_s = current_s
        self._heard: dict[str, _Heard] = {}
        self._begun_s: float | None = None
        """Heartbeats written before this may have been compacted away."""
        self._proven_s = -inf
        """the writing of the latest heartbeat of our own that proves others' silence"""

    def heard(self, process: str, now_s: float, current_s: float = 0.0) -> None:
        """A heartbeat was read, or its end: another may have been compacted away before that."""
        before = self._heard.get(process)
        lapsed_s = before.lapsed_s if before else self._proven_s
        self._heard[process] = _Heard(now_s + max(current_s, self._current_s), lapsed_s)

    def read_back(self, written_s: float, now_s: float) -> None:
        """A heartbeat of our own that was written at `written_s` has come back at `now_s`."""
        if self._begun_s is None:
            self._begun_s = now_s
        if written_s > self._begun_s + self._current_s:
            self._proven_s = written_s
            self._heard = {name: heard for name, heard in self._heard.items() if heard.until_s >= written_s}

    def forget(self) -> None:
        """What was read may lack heartbeats: the topic was cut or is another."""
        self._heard.clear()
        self._begun_s, self._proven_s = None, -inf

    def never_calls(self, process: str, known_s: float) -> bool:
        """Whether the process certainly begins no call any more under an intent that was known here at `known_s`."""
        heard = self._heard.get(process)
        return known_s <= (heard.lapsed_s if heard else self._proven_s)

    def silent(self, process: str) -> bool:
        """Whether it has lapsed, and nothing was heard of it since."""
        return self._proven_s > -inf and process not in self._heard
