"""What the control topic says, folded; and whether this process may call SES by it.

Intents harm nobody, calls do. So a process calls only while it is *current*: for some seconds from the writing of a
heartbeat up to which it has since read the topic. A client cannot tell a frozen broker from a quiet topic, and a leader
that was deposed serves old reads: only a record of one's own that comes back shows that one hears what is written.
Whoever begins a new lineage of the dedup set can therefore wait until nobody calls under an older one.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from processor.core.lapses import Lapses
from schemas.control import (
    CURRENT_S,
    Brake,
    Canary,
    Content,
    ControlRecord,
    Floor,
    Heartbeat,
    Installation,
    Lineage,
    MonthOpened,
)

__all__ = ["NO_TENURE", "Control", "Other", "Presence", "Tenure", "begin_lineage"]

LINEAGES_KEPT = 8
"""So many of the newest stay in the topic: a heartbeat on its way may name one that is not the newest any more."""


class Other(msgspec.Struct, frozen=True, gc=False):
    """A process as its last heartbeat shows it."""

    heartbeat: Heartbeat
    seen_s: float
    """boot clock of the observer"""

    def current(self, now_s: float) -> bool:
        """Whether it may call SES, as far as can be seen from here."""
        return now_s - self.seen_s <= self.heartbeat.current_s


class Control:
    """The control topic up to `position`. Moved by `take` alone."""

    def __init__(self, topic_id: str = "", lapses: Lapses | None = None) -> None:
        self.topic_id = topic_id
        self.lapses = lapses or Lapses()
        self.position = 0
        """offset behind the last record that was taken"""
        self.installation: Installation | None = None
        self.lineages: dict[str, Lineage] = {}
        """oldest first"""
        self.newest = ""
        """the newest lineage's id; read by other threads, too"""
        self.months: dict[str, MonthOpened] = {}
        self.floor: Floor | None = None
        self.brake = Brake()
        self.canaries: dict[str, Canary] = {}
        self.processes: dict[str, Other] = {}
        self.broken = ""
        """Why nothing that was read can be relied on until a new lineage is begun; empty: it can."""

    def take(self, record: ControlRecord, now_s: float) -> None:
        """Takes the next record of the topic, read at `now_s` of the boot clock."""
        content = record.content
        match content:
            case None:
                self._drop(record, now_s)
            case Heartbeat():
                self._look_at(content, record.offset)
                self.processes[content.process] = Other(content, now_s)
                self.lapses.heard(content.process, now_s, content.current_s)
            case Lineage():
                self.lineages.pop(content.id, None)
                self.lineages[content.id] = content
                self.newest = content.id
                self.broken = ""
            case MonthOpened():
                stands = self.months.setdefault(content.month, content)
                figures = content.figures or stands.figures
                self.months[content.month] = msgspec.structs.replace(stands, figures=figures)
            case Installation():
                self.installation = content
            case Floor():
                self._raise(content)
            case Canary():
                self.canaries[content.month] = content
            case _:
                self.brake = content
        self.position = record.offset + 1

    def month(self, month: str) -> MonthOpened | None:
        """What holds of a month that was opened; what was said of topics that were made anew since is void."""
        opened = self.months.get(month)
        if opened is None:
            return None
        ids = self.installation.topics if self.installation else {}
        if opened.jobs_id and opened.jobs_id not in ids.values():
            return None
        if all(ids.get(name) == topic_id for name, topic_id in opened.topics.items()):
            return opened
        begins = {name: at for name, at in opened.begins.items() if opened.topics.get(name) in {None, ids.get(name)}}
        return msgspec.structs.replace(opened, begins=begins)

    def _drop(self, record: ControlRecord, now_s: float) -> None:
        match record.kind:
            case "process":
                self.processes.pop(record.name, None)
                self.lapses.heard(record.name, now_s)
            case "lineage":
                self.lineages.pop(record.name, None)
                self.newest = next(reversed(self.lineages), "")

    @property
    def closed_before(self) -> str:
        """Months before this one are closed for good; empty where no floor was set yet."""
        return self.floor.month if self.floor else ""

    def _raise(self, floor: Floor) -> None:
        if floor.month > self.closed_before:
            self.floor = floor

    def _look_at(self, heartbeat: Heartbeat, offset: int) -> None:
        """A heartbeat that knows of what the topic does not hold was written before the topic was lost or restored."""
        if heartbeat.position > offset:
            self.lost(f"{heartbeat.instance} had read the control topic up to {heartbeat.position}: it was cut")
        elif heartbeat.lineage and heartbeat.lineage not in self.lineages:
            self.lost(f"{heartbeat.instance} names lineage {heartbeat.lineage}, which the control topic lacks")
        elif heartbeat.topic_id and self.topic_id and heartbeat.topic_id != self.topic_id:
            self.lost(f"{heartbeat.instance} knows another topic of this name")

    def lost(self, why: str) -> None:
        """The topic no longer holds the place that was read up to, or is not the one that was read."""
        self.broken = why
        self.lapses.forget()

    # ---- the others ----

    def others(self, me: str) -> Iterator[Other]:
        return (other for process, other in self.processes.items() if process != me)

    def users_of_newest(self, me: str, now_s: float) -> list[Other]:
        """Other current processes whose server answers under the newest lineage: theirs must not be overturned."""
        newest = self.newest
        return [o for o in self.others(me) if newest and o.heartbeat.lineage == newest and o.current(now_s)]

    def granted(self) -> int:
        """The highest number of grants of the newest lineage that any process has told of."""
        told = (other.heartbeat for other in self.processes.values())
        return max((heartbeat.granted for heartbeat in told if heartbeat.lineage == self.newest), default=0)

    def unaware(self, lineage: str, me: str) -> list[Other]:
        """Other processes that may call under an older lineage yet: whose heartbeat stands, whatever its age, and that
        have not shown that they know this one. Who has lapsed since reads of it before they are current again."""
        known = (other for other in self.others(me) if other.heartbeat.knows != lineage)
        return [other for other in known if not self.lapses.silent(other.heartbeat.process)]

    def longest_current_s(self, me: str) -> float:
        """The longest currency that any other process named."""
        return max((other.heartbeat.current_s for other in self.others(me)), default=CURRENT_S)

    def silent(self, me: str, now_s: float, silent_s: float) -> list[Other]:
        """Other processes of which nothing was heard for so long."""
        return [other for other in self.others(me) if now_s - other.seen_s >= silent_s]


def begin_lineage(control: Control, lineage: Lineage) -> list[tuple[bytes, Content | None]]:
    """Records that begin a lineage; the oldest of those before are taken away."""
    old = list(control.lineages)[: 1 - LINEAGES_KEPT]
    dropped: list[tuple[bytes, Content | None]] = [(f"lineage:{name}".encode(), None) for name in old]
    return [(f"lineage:{lineage.id}".encode(), lineage), *dropped]


class Tenure(msgspec.Struct, frozen=True, gc=False):
    """Under what an intent was begun and a claim was made: calls are allowed under the same alone."""

    lineage: str = ""
    lapses: int = 0
    """Rises each time that the process was not current for a moment."""


NO_TENURE = Tenure()


class Presence:
    """Whether this process may call SES now: moved by its own heartbeats, as they are written and read back."""

    def __init__(self, process: str, current_s: float = CURRENT_S) -> None:
        self.process = process
        self.current_s = current_s
        self._written: dict[int, float] = {}
        """number of a heartbeat: when it was written"""
        self._beats = 0
        self.last_read = 0
        """number of the latest heartbeat that was read back"""
        self._until_s = float("-inf")
        self._lapses = 0

    def beats(self, now_s: float) -> int:
        """A heartbeat is written; returns its number."""
        self._beats += 1
        self._written[self._beats] = now_s
        return self._beats

    @property
    def next_beat(self) -> int:
        """The number of the heartbeat that is written next: read back, it shows all that was written before this."""
        return self._beats + 1

    def read_back(self, beat: int, now_s: float) -> float | None:
        """The topic has been read up to one's own heartbeat `beat`; returns when that was written, if it is known."""
        if (written_s := self._written.get(beat)) is None:
            return None
        self.last_read = beat
        if now_s > self._until_s:
            self._lapses += 1
        self._until_s = written_s + self.current_s
        self._written = {number: at_s for number, at_s in self._written.items() if number > beat}
        return written_s

    def waits_since(self, now_s: float) -> float:
        """For how long a heartbeat has been waiting to be read back, in seconds."""
        return now_s - min(self._written.values(), default=now_s)

    def current(self, now_s: float) -> bool:
        return now_s <= self._until_s

    def tenure(self, control: Control, now_s: float) -> Tenure | None:
        """What holds now; ``None``: nothing may be intended, claimed or called for."""
        if control.broken or not control.newest or not self.current(now_s):
            return None
        return Tenure(control.newest, self._lapses)

    def allows(self, tenure: Tenure, control: Control, now_s: float) -> bool:
        """Whether a request may leave under a claim that was made under `tenure`."""
        return self.tenure(control, now_s) == tenure
