"""The dedup set's lives: when one may be relied on, and how the next is begun.

Nothing is granted by a set that may lack a claim made for this installation. So before a set is made whole, every
process that may call SES has to know that its claims of before count no more: the new lineage is written to the control
topic first, and only when all have said that they have read it, or can call no longer, are ledger and intents read.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence

from processor.adapters.installation import check_set
from processor.adapters.redis import RedisDedup
from processor.core.checkpoint import NOTHING
from processor.core.control import Control, Other, begin_lineage
from processor.ports import Clock, ControlLog, RebuildLost, ServerSeen
from processor.recovery.rebuild import LOCK_TTL_S, LOOK_EVERY_S, Rebuilt, Tell, restore_all, silent
from processor.shell.control import ControlFollower
from schemas.control import Content, Lineage, new_control_id
from schemas.runtime.errors import RedisUntrusted
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["Lineages"]

log = get_log()


class Lineages:
    """Makes the dedup set whole under the newest lineage, or begins another."""

    def __init__(
        self,
        settings: Settings,
        dedup: RedisDedup,
        control_log: ControlLog,
        follower: ControlFollower,
        clock: Clock,
        instance: str,
    ) -> None:
        self._settings = settings
        self._dedup = dedup
        self._log = control_log
        self._follower = follower
        self._clock = clock
        self._instance = instance
        self._said = ""

    async def ensure_whole(self, tell: Tell = silent) -> int:
        """Returns when the set is whole under the newest lineage; returns the entries that this process put back.

        Raises `RedisForeign` for another installation's set, `RedisUntrusted` where others go on using another server.
        """
        impatient_s = self._clock.boot_s() + self._settings.patience_s
        while True:
            seen = await self._dedup.server()
            self._refuse_foreign(seen)
            if self._is_whole(seen):
                self._follower.hurry()
                return 0
            if self._others_use_another(seen, impatient_s):
                await self._follower.news(LOOK_EVERY_S)
            elif (count := await self._try(seen, tell)) is not None:
                return count
            else:
                await asyncio.sleep(LOOK_EVERY_S)

    async def begin_anew(self, tell: Tell = silent) -> int:
        """Whole or not, whoever uses it: begins a lineage, and reads all of the topics.

        Returns the entries; raises as `ensure_whole`.
        """
        while True:
            seen = await self._dedup.server()
            self._refuse_foreign(seen)
            if (count := await self._try(seen, tell, anew=True)) is not None:
                return count
            await asyncio.sleep(LOOK_EVERY_S)

    def _refuse_foreign(self, seen: ServerSeen) -> None:
        if ours := self._control.installation:
            check_set(ours, seen)

    def _is_whole(self, seen: ServerSeen) -> bool:
        return seen.whole and not self._control.broken and seen.lineage == self._control.newest != ""

    def _others_use_another(self, seen: ServerSeen, impatient_s: float) -> bool:
        """Whether somebody's set is whole under the newest lineage, or is being made so: it must not be overturned."""
        control = self._control
        users = [] if control.broken else control.users_of_newest(self._follower.process, self._clock.boot_s())
        servers = sorted({other.heartbeat.server for other in users} - {"", seen.run})
        if not users:
            return False
        if not servers:
            self._say("waiting for another process that rebuilds it")
            return True
        two = _two_servers(_names(users), servers, seen.run)
        if self._clock.boot_s() > impatient_s:
            raise RedisUntrusted("two-servers", f"{two}: give all the same MAILONCE_REDIS_URL, then start again")
        self._say(f"{two}: waiting until they have stopped")
        return True

    async def _try(self, seen: ServerSeen, tell: Tell, *, anew: bool = False) -> int | None:
        """Begins a lineage and makes the set whole under it; ``None`` when somebody else was quicker.

        Args:
            seen: the server.
            tell: is told how far it is.
            anew: from the beginning, whatever the set's checkpoint says.
        """
        token = secrets.token_hex(8)  # a chunk of an earlier try that arrives late counts for nothing
        if not await self._dedup.lock_rebuild(token, LOCK_TTL_S):
            self._say("waiting for another process that rebuilds it")
            return None
        lineage = Lineage(id=new_control_id(), server=seen.run, instance=self._instance, at_ms=self._clock.now_ms())
        self._follower.rebuilding = lineage.id
        try:
            # Asked before as well: an older dump shows as long as the lineage is the one that it was granted under.
            await self._dedup.checkpoint(token)
            await self._begin(lineage, token)
            since = NOTHING if anew else await self._dedup.checkpoint(token)
            done = await restore_all(self._settings, self._dedup, token, since, tell, await self._floor())
            ours = self._control.newest == lineage.id
            if not ours or not await self._dedup.set_whole(token, lineage.id, done.checkpoint, done.since):
                raise RebuildLost("the rebuild has lost its lock, or another lineage was begun")
        except RebuildLost as lost:
            log.warning(Event.DEDUP_NOT_WHOLE, follows=f"{lost}: it starts again")
            return None
        finally:
            self._follower.rebuilding = ""
            await self._dedup.unlock_rebuild(token)
        self._follower.hurry()
        _say_rebuilt(done)
        return done.entries

    async def _floor(self) -> str:
        """The set's floor is the control topic's from now on, or its own where that is higher; and what 0.1 lets expire
        stays: only a floor takes entries away."""
        return await self._dedup.prepare(self._control.closed_before)

    async def _begin(self, lineage: Lineage, token: str) -> None:
        """Returns once nobody calls under an older lineage. Raises `RebuildLost` when another one was begun."""
        newest = self._control.newest

        def decide(control: Control) -> Sequence[tuple[bytes, Content | None]]:
            return begin_lineage(control, lineage) if control.newest == newest else []

        await self._log.change(decide)
        acknowledged_s = self._clock.boot_s()
        while self._control.newest == newest:
            await self._keep(token)
        while self._waits_for_others(lineage, acknowledged_s):
            await self._keep(token)
        if self._control.newest != lineage.id:
            raise RebuildLost("another process has begun a lineage")
        await self._log.end_transactions(_ids_of_silent(self._control, self._follower.process, self._clock.boot_s()))

    def _waits_for_others(self, lineage: Lineage, acknowledged_s: float) -> bool:
        """Whether somebody may still call who does not know of the lineage."""
        me, waited_s = self._follower.process, self._clock.boot_s() - acknowledged_s
        if unaware := self._control.unaware(lineage.id, me):
            self._say(f"waiting for {_names(unaware)} to hear of it")
        return self._control.newest == lineage.id and bool(unaware) and waited_s < self._control.longest_current_s(me)

    async def _keep(self, token: str) -> None:
        """Waits a little, and keeps the lock meanwhile. Raises `RebuildLost`."""
        if not await self._dedup.extend_lock(token, LOCK_TTL_S):
            raise RebuildLost("the rebuild has lost its lock")
        await self._follower.news(LOOK_EVERY_S)

    @property
    def _control(self) -> Control:
        return self._follower.control

    def _say(self, follows: str) -> None:
        if follows != self._said:
            log.warning(Event.DEDUP_NOT_WHOLE, follows=follows)
            self._said = follows


def _names(others: Iterable[Other]) -> str:
    return ", ".join(sorted({other.heartbeat.instance for other in others}))


def _ids_of_silent(control: Control, me: str, now_s: float) -> list[str]:
    """Transactional ids of other processes that are not current."""
    beats = [other.heartbeat for other in control.others(me) if not other.current(now_s)]
    return [beat.transactional_id for beat in beats if beat.transactional_id]


def _two_servers(users: str, servers: list[str], ours: str) -> str:
    return f"{users} use the Redis server with run id {', '.join(servers)}, this process the one with {ours}"


def _say_rebuilt(done: Rebuilt) -> None:
    begun = "the beginning" if done.since == NOTHING else "the checkpoint"
    log.info(Event.DEDUP_REBUILT, entries=done.entries, records=done.records, read_from=begun)
