"""This process in the control topic: it says every few seconds that it lives, reads what the others say, and knows by
both whether it may call SES."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from processor.core.control import Control, Presence, Tenure
from processor.core.lapses import Lapses
from processor.ports import UNSEEN, Clock, ControlLog, ServerSeen
from schemas.control import CURRENT_S, ControlRecord, Heartbeat, MonthOpened, new_control_id
from schemas.runtime.ending import end
from schemas.runtime.errors import BrokerUnavailable, RedisUnavailable
from schemas.runtime.logs import Event, get_log

__all__ = ["ControlFollower", "FollowedMonths", "Me", "Months", "Permission", "Server", "Timing"]

log = get_log()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """In seconds."""

    beat_s: float = 3.0
    """between two heartbeats"""
    current_s: float = CURRENT_S
    silent_s: float = 60.0
    """a process of which nothing was heard for so long is taken off"""
    hanging_s: float = 5.0
    """a heartbeat that was not read back for so long has something in its way"""
    server_s: float = 1.0
    """how long a heartbeat waits for Redis"""
    read_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Me:
    """What a heartbeat says of its process."""

    instance: str
    transactional_id: str = ""


class Server(Protocol):
    """What there is to say of Redis."""

    @property
    def granted(self) -> int:
        """How many grants of the newest lineage this process knows of."""
        ...

    async def server(self) -> ServerSeen:
        """Who the server is, and under which lineage it holds a whole set. Raises `RedisUnavailable`."""
        ...


class Permission(Protocol):
    """Whether this process may intend, claim and call now."""

    control: Control
    """what the topic says, brake and canaries among it"""
    known: Callable[[], Mapping[int, int]]
    """Up to where each partition of the jobs topic is known: heartbeats tell it to those who wait for that."""

    def tenure(self) -> Tenure | None:
        """Under what it may; ``None``: under nothing."""
        ...

    def refusal(self, tenure: Tenure) -> str:
        """Why no request may leave under a claim made under `tenure`; empty: it may. Called from any thread."""
        ...


class _Asked:
    """Redis, asked at each heartbeat: which waits for nobody."""

    def __init__(self, server: Server, patience_s: float) -> None:
        self._server = server
        self._patience_s = patience_s
        self._asking: asyncio.Task[ServerSeen] | None = None

    @property
    def granted(self) -> int:
        return self._server.granted

    async def seen(self) -> ServerSeen:
        """What Redis says in time; nothing where it does not."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._server.server())
        await asyncio.wait({self._asking}, timeout=self._patience_s)
        if not self._asking.done():
            return UNSEEN
        asked, self._asking = self._asking, None
        try:
            return asked.result()
        except RedisUnavailable:
            return UNSEEN

    async def stop(self) -> None:
        if self._asking is not None:
            await end(self._asking)


class Months(Protocol):
    """What is known of months, and whether that is all there was to know a moment ago."""

    def opened(self, month: str) -> MonthOpened | None:
        """How the month was opened, as far as it was read."""
        ...

    @property
    def floor(self) -> str:
        """Months before it are closed for good, as far as it was read; empty where no floor was set yet."""
        ...

    def ask(self) -> int:
        """Wants the control topic read to an end asked for after this; returns what `answered` is to be told."""
        ...

    def answered(self, number: int) -> bool: ...


class ControlFollower:
    """Follows the control topic and takes part in it, from `start` to `stop`."""

    def __init__(self, log: ControlLog, server: Server, clock: Clock, me: Me, timing: Timing | None = None) -> None:
        self._log = log
        self._clock = clock
        self._me = me
        self._timing = timing or Timing()
        self.control = Control(lapses=Lapses(self._timing.current_s))
        self.presence = Presence(new_control_id(), self._timing.current_s)
        self.rebuilding = ""
        """The lineage under which this process is making the set whole."""
        self.known: Callable[[], Mapping[int, int]] = dict
        """up to where each partition of the jobs topic is known"""
        self._asked = _Asked(server, self._timing.server_s)
        self._due = asyncio.Event()
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # ---- what others ask ----

    @property
    def process(self) -> str:
        return self.presence.process

    def tenure(self) -> Tenure | None:
        """Under what may be intended, claimed and called now; ``None``: under nothing."""
        return self.presence.tenure(self.control, self._clock.boot_s())

    def refusal(self, tenure: Tenure) -> str:
        """Why no request may leave under a claim made under `tenure`; empty: it may. Called from any thread."""
        now_s = self._clock.boot_s()
        if self.presence.allows(tenure, self.control, now_s):
            return ""
        if self.control.broken:
            return self.control.broken
        if not self.presence.current(now_s):
            return f"no heartbeat of this process came back for {self._timing.current_s:g} s"
        return "the dedup set has begun a new lineage, or this process was not current for a moment"

    async def news(self, timeout_s: float) -> None:
        """Waits until something was read, for so long at most."""
        self._news.clear()
        waiting = asyncio.create_task(self._news.wait())
        try:
            await asyncio.wait({waiting}, timeout=timeout_s)
        finally:
            await end(waiting)

    def hurry(self) -> None:
        """The next heartbeat is due at once: others wait for what it says."""
        self._due.set()

    # ---- its life ----

    def knows_topic(self, topic_id: str) -> None:
        """The control topic's id, before `start`: where a broker tells it."""
        self.control = Control(topic_id, Lapses(self._timing.current_s))

    async def start(self, patience_s: float) -> None:
        """Returns once the first heartbeat has come back: the topic has been read. Raises `BrokerUnavailable`."""
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._beat_often())]
        until_s = self._clock.boot_s() + patience_s
        while not self.presence.current(self._clock.boot_s()):
            for task in self._tasks:
                if task.done():
                    task.result()
            if self._clock.boot_s() > until_s:
                raise BrokerUnavailable(
                    f"no heartbeat came back from the control topic for {patience_s:g} s: Kafka does not take or tell "
                    f"what is written"
                )
            await self.news(0.2)

    async def stop(self) -> None:
        """The heartbeat is taken away: nobody waits for this process any more."""
        await end(*self._tasks)
        await self._asked.stop()
        self._log.remove(self.process)
        await self._log.stop()

    # ---- reading ----

    async def _follow(self) -> None:
        released_s = self._clock.boot_s()
        while True:
            try:
                for record in await self._log.read(self._timing.read_s):
                    self._take(record)
                now_s = self._clock.boot_s()
                hanging_s = min(self.presence.waits_since(now_s), now_s - released_s)
                if hanging_s > self._timing.hanging_s:
                    released_s = now_s
                    await self._log.release()
            except BrokerUnavailable as error:
                log.warning(Event.KAFKA, error=str(error))
                await self._clock.sleep(self._timing.read_s)

    def _take(self, record: ControlRecord) -> None:
        now_s, newest = self._clock.boot_s(), self.control.newest
        if record.kind == "lost":
            log.warning(Event.KAFKA, error=f"the control topic was cut: {record.name}")
            self.control.lost("the control topic lost what this process had read")
            return
        self.control.take(record, now_s)
        mine = record.content if record.kind == "process" and record.name == self.process else None
        if isinstance(mine, Heartbeat) and (written_s := self.presence.read_back(mine.beat, now_s)) is not None:
            self.control.lapses.read_back(written_s, now_s)
        if self.control.newest != newest:
            self.hurry()  # whoever has begun it waits for our word
        self._news.set()

    # ---- heartbeats ----

    async def _beat_often(self) -> None:
        while True:
            self._due.clear()
            await self._beat()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.beat_s):
                    await self._due.wait()

    async def _beat(self) -> None:
        seen = await self._asked.seen()
        control, now_s = self.control, self._clock.boot_s()
        answered = seen.lineage if seen.whole and seen.lineage == control.newest else ""
        self._log.beat(
            Heartbeat(
                process=self.process,
                beat=self.presence.beats(now_s),
                instance=self._me.instance,
                transactional_id=self._me.transactional_id,
                knows=control.newest,
                lineage=self.rebuilding or answered,
                server=seen.run,
                granted=self._asked.granted,
                read=dict(self.known()),
                position=control.position,
                topic_id=control.topic_id,
                current_s=self._timing.current_s,
                at_ms=self._clock.now_ms(),
            )
        )
        for other in control.silent(self.process, now_s, self._timing.silent_s):
            self._log.remove(other.heartbeat.process)


class FollowedMonths:
    """`Months` by the control topic that is followed: a heartbeat of one's own that comes back answers."""

    def __init__(self, follower: ControlFollower) -> None:
        self._follower = follower

    def opened(self, month: str) -> MonthOpened | None:
        return self._follower.control.month(month)

    @property
    def floor(self) -> str:
        return self._follower.control.closed_before

    def ask(self) -> int:
        self._follower.hurry()
        return self._follower.presence.next_beat

    def answered(self, number: int) -> bool:
        return self._follower.presence.last_read >= number
