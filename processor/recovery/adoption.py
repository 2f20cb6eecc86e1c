"""Another installation's dedup set, or another cluster's or topic's records, taken over on purpose.

Each step may be the last: whoever adopts again goes on. First nobody is granted anything by the set any more; then the
ledger is told what the set knows and it does not, and the entries follow; then the control topic says what the
installation is from now on; then the set is ours, and is rebuilt under a new lineage.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from processor.adapters.installation import check_installation, check_set
from processor.adapters.redis import RedisDedup
from processor.core.adoption import ADOPTED, Found, Places, Taken, adopt, jobs_are_new, nowhere, take_over
from processor.core.control import Control
from processor.core.states import ABSENT, Claim, State, parse_claim
from processor.ports import BY_KEY, Clock, ControlLog, Produced
from processor.recovery.lineage import Lineages
from processor.recovery.rebuild import LOCK_TTL_S, LOOK_EVERY_S, Tell, claims_from_topics, silent, take_chunk
from processor.shell.control import ControlFollower
from schemas.codec import decode_delivery, encode
from schemas.control import Content, Installation, control_key
from schemas.identity import NO_PLACE, Key
from schemas.kafka.reading import read_topic
from schemas.records import Attempt, Delivery, Outcome, Source
from schemas.runtime.ending import end, in_thread
from schemas.runtime.errors import (
    ADOPTING,
    BadRecord,
    InstallationForeign,
    RedisForeign,
    RedisUnavailable,
    UsageError,
)
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings
from schemas.topics import Topics

__all__ = ["Adopted", "Adoption", "World", "Writer"]

log = get_log()
T = TypeVar("T")

CHUNK = 500
_WHY = {
    Outcome.SENT: "the dedup set that was adopted holds it as sent",
    Outcome.UNCERTAIN: "the dedup set that was adopted holds a call whose fate nobody knows here",
}


class Writer(Protocol):
    """Writes records together or not at all."""

    def write(self, records: Sequence[Produced]) -> None: ...


@dataclass(frozen=True, slots=True)
class World:
    """What an adoption works on."""

    dedup: RedisDedup
    control_log: ControlLog
    follower: ControlFollower
    lineages: Lineages
    clock: Clock
    writer: Writer
    places: Callable[[], Places]
    """asked of the brokers; blocks"""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was done."""

    installation: str
    entries: int
    """of the rebuilt set, by ledger and intents"""
    sent: int
    """mails of which the ledger learned that they were sent"""
    uncertain: int
    """mails of which it learned that they are in doubt"""


class Adoption:
    """Looks, then takes over. The follower has to be current."""

    def __init__(self, settings: Settings, world: World, instance: str) -> None:
        self._settings = settings
        self._world = world
        self._scribe = _Scribe(settings.topics, world.clock, instance)

    @property
    def _control(self) -> Control:
        return self._world.follower.control

    async def look(self) -> Found:
        """What there is to adopt.

        Raises `UsageError` while processes run, and `InstallationForeign` where the control topic names none.
        """
        topic = self._settings.topics.control
        if (before := self._control.installation) is None:
            raise InstallationForeign(f"topic {topic} names no installation: run `mailonce topics create` first")
        seen = await self._world.dedup.server()
        found = Found([])
        for check in (
            partial(check_installation, before, await in_thread(self._world.places), topic),
            partial(check_set, before, seen),
        ):
            try:
                check()
            except (InstallationForeign, RedisForeign) as error:
                found.why.append(str(error))
        if not found.why:
            return found
        if seen.installation not in {before.id, ADOPTING}:
            found.former = seen.installation
        await self._refuse_running()
        async for _, claim in self._world.dedup.entries():
            found.claims[claim.state.name] += 1
        return found

    async def _refuse_running(self) -> None:
        """Waits until whoever is silent could call no longer. Raises `UsageError` that names those who are not."""
        follower, clock = self._world.follower, self._world.clock
        before = {other.heartbeat.process: other.heartbeat.beat for other in self._control.others(follower.process)}
        until_s = clock.boot_s() + self._control.longest_current_s(follower.process)
        while others := list(self._control.others(follower.process)):
            if running := [o.heartbeat for o in others if before.get(o.heartbeat.process) != o.heartbeat.beat]:
                names = ", ".join(sorted({beat.instance or beat.process for beat in running}))
                raise UsageError(f"{names} runs: stop every processor first, then adopt")
            if clock.boot_s() > until_s:
                return
            await follower.news(LOOK_EVERY_S)

    async def carry_out(self, who: str, tell: Tell = silent) -> Adopted:
        """Takes over. Raises `BrokerUnavailable`, `RedisUnavailable` and `RebuildLost`: then adopt again."""
        world, token = self._world, secrets.token_hex(8)
        await self._lock(token)
        try:
            former, whole = await world.dedup.bar(token)
            await self._void_places(token)
            told = await self._take_over(token, whole=whole)
            installation = await self._install(former, who)
            await world.dedup.own(token, installation.id)
        finally:
            await world.dedup.unlock_rebuild(token)
        while (now := self._control.installation) is None or now.id != installation.id:
            await world.follower.news(LOOK_EVERY_S)
        entries = await world.lineages.begin_anew(tell)
        sent, uncertain = told[Outcome.SENT], told[Outcome.UNCERTAIN]
        log.info(Event.ADOPTED, installation=installation.id, former=former, sent=sent, uncertain=uncertain)
        return Adopted(installation.id, entries, sent, uncertain)

    async def _lock(self, token: str) -> None:
        until_s = self._world.clock.boot_s() + self._settings.patience_s
        while not await self._world.dedup.lock_rebuild(token, LOCK_TTL_S):
            if self._world.clock.boot_s() > until_s:
                raise RedisUnavailable("somebody rebuilds the dedup set: stop every processor, then adopt again")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _holding(self, token: str, work: Awaitable[T]) -> T:
        """What `work` returns; keeps the lock meanwhile."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=LOCK_TTL_S / 3)
                await self._world.dedup.extend_lock(token, LOCK_TTL_S)
            return task.result()
        finally:
            await end(task)

    async def _void_places(self, token: str) -> None:
        """What was closed at a place of another jobs topic is closed nowhere from now on, in set and ledger."""
        await self._world.dedup.forget_places()
        before, jobs = self._control.installation, self._settings.topics.jobs
        assert before is not None
        if not jobs_are_new(before, await in_thread(self._world.places), jobs):
            return
        ended = await self._holding(token, in_thread(_ended, self._settings))
        void = {key: nowhere(delivery) for key, delivery in ended.items()}
        topic = self._settings.topics.deliveries
        records = [Produced(topic, BY_KEY, key, encode(entry)) for key, entry in void.items() if entry != ended[key]]
        for first in range(0, len(records), CHUNK):
            await self._holding(token, in_thread(self._world.writer.write, records[first : first + CHUNK]))

    async def _install(self, former: str, who: str) -> Installation:
        """The control topic says from now on whose set and topics these are."""
        now = await in_thread(self._world.places)
        made: list[Installation] = []

        def decide(control: Control) -> Sequence[tuple[bytes, Content | None]]:
            assert control.installation is not None
            made[:] = [adopt(control.installation, now, former, self._world.clock.now_ms(), who)]
            return [(control_key(made[0]), made[0])]

        await self._world.control_log.change(decide)
        return made[0]

    async def _take_over(self, token: str, *, whole: bool) -> Counter[Outcome]:
        """Each key that topics or set know; returns how many were told to the ledger as what."""
        told: Counter[Outcome] = Counter()
        seen: set[int] = set()
        source = claims_from_topics(self._settings)
        while chunk := await self._holding(token, in_thread(take_chunk, source)):
            claims = await self._world.dedup.peek_all([one.key for one in chunk])
            keys = [(one.key, claim, parse_claim(one.claim)) for one, claim in zip(chunk, claims, strict=True)]
            seen.update(hash(key) for key, _, _ in keys)
            told += await self._take(keys, token, whole=whole)
        async for entries in _chunks(self._world.dedup):
            # Redis may name a bucket twice while it is walked.
            keys = [(key, claim, ABSENT) for key, claim in entries if hash(key) not in seen]
            seen.update(hash(key) for key, _, _ in keys)
            told += await self._take(keys, token, whole=whole)
        return told

    async def _take(self, keys: Sequence[tuple[Key, Claim, Claim]], token: str, *, whole: bool) -> Counter[Outcome]:
        """The ledger first, then the set: a key, its entry, its claim by the topics."""
        taken = [(key, claim, take_over(claim, known, whole=whole)) for key, claim, known in keys]
        records = [self._scribe.told(key, claim, after) for key, claim, after in taken if after.outcome is not None]
        records += [self._scribe.withdrawn(key, name) for key, _, after in taken for name in after.unused]
        if records:
            await self._holding(token, in_thread(self._world.writer.write, records))
        changes = [(key, claim, after.claim) for key, claim, after in taken if claim.state is not State.ABSENT]
        await self._world.dedup.adopt(changes, token, LOCK_TTL_S)
        return Counter(after.outcome for _, _, after in taken if after.outcome is not None)


def _ended(settings: Settings) -> dict[bytes, Delivery]:
    """What the ledger holds of records that ended without a mail and leave their key to newer ones."""
    found: dict[bytes, Delivery] = {}
    for record in read_topic(settings, settings.topics.deliveries):
        if record.key is None:
            continue
        found.pop(record.key, None)
        try:
            delivery = decode_delivery(record.value) if record.value is not None else None
        except BadRecord:
            continue  # the rebuild tells of it
        if delivery is not None and delivery.frees_key:
            found[record.key] = delivery
    return found


async def _chunks(dedup: RedisDedup) -> AsyncIterator[Sequence[tuple[Key, Claim]]]:
    chunk: list[tuple[Key, Claim]] = []
    async for entry in dedup.entries():
        chunk.append(entry)
        if len(chunk) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Scribe:
    """What an adoption leaves behind in the topics."""

    def __init__(self, topics: Topics, clock: Clock, instance: str) -> None:
        self._topics = topics
        self._clock = clock
        self._instance = instance

    def told(self, key: Key, claim: Claim, after: Taken) -> Produced:
        """The ledger's entry for what it did not know. Its job is elsewhere, or nowhere any more."""
        topics = self._topics
        assert after.outcome is not None
        entry = Delivery(
            outcome=after.outcome,
            at_ms=self._clock.now_ms(),
            source=Source(topics.jobs, NO_PLACE.partition, NO_PLACE.offset),
            instance=self._instance,
            fingerprint=claim.fingerprint,
            attempt=after.attempt or None,
            message_id=claim.message_id or None,
            reason=ADOPTED,
            detail=_WHY[after.outcome],
        )
        return Produced(topics.deliveries, BY_KEY, key.to_bytes(), encode(entry))

    def withdrawn(self, key: Key, name: str) -> Produced:
        """An intent taken back that nobody called for."""
        topics, now_ms = self._topics, self._clock.now_ms()
        source = Source(topics.jobs, NO_PLACE.partition, NO_PLACE.offset)
        taken_back = Attempt(
            attempt=name, intended_at_ms=now_ms, instance=self._instance, source=source, fingerprint="", withdrawn=True
        )
        return Produced(topics.attempts, BY_KEY, key.to_bytes(), encode(taken_back))
