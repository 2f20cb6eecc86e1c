"""Who may still claim for records that newer ones have replaced: by the heartbeats alone, without a look at the set.

A process claims nothing in a partition for a record that it knows to be replaced. So corrections hold once each process
has shown that it has read them, or does not read their partitions. A heartbeat shows it if it was *begun* after they
were written: one that tells of a position in the control topic beyond what stood there then. One that is silent calls
for nothing once its currency is over, and reads to new ends before it claims again.
"""

from __future__ import annotations

from collections.abc import Mapping

from processor.core.control import Control
from schemas.control import Heartbeat

__all__ = ["Hearing"]


class Hearing:
    """Those who took part when it began; whoever came later reads to ends that it asks for later."""

    def __init__(self, control: Control, ends: Mapping[int, int], now_s: float) -> None:
        """
        Args:
            control: as it stands after the last newer record was acknowledged.
            ends: partition of the jobs topic: offset behind the last newer record there.
            now_s: boot clock.
        """
        self._since = control.position
        self._ends = ends
        self._seen = {process: (other.heartbeat.beat, now_s) for process, other in control.processes.items()}
        """by process that has not shown it yet: its latest heartbeat, and when that was first seen"""

    def listen(self, control: Control, now_s: float) -> list[Heartbeat]:
        """The latest heartbeats of those who may still claim, by what the topic says now."""
        waits = []
        for process, (beat, seen_s) in list(self._seen.items()):
            other = control.processes.get(process)
            if other is not None and other.heartbeat.beat != beat:
                seen_s = now_s
                self._seen[process] = (other.heartbeat.beat, seen_s)
            if other is None or self._shows(other.heartbeat) or now_s - seen_s > other.heartbeat.current_s:
                del self._seen[process]
            else:
                waits.append(other.heartbeat)
        return waits

    def _shows(self, heartbeat: Heartbeat) -> bool:
        begun_since = heartbeat.position > self._since
        return begun_since and all(heartbeat.read.get(number, end) >= end for number, end in self._ends.items())
