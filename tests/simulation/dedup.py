"""The dedup set's twin in memory: each script of ``processor/adapters/lua`` as a plain function of one key's claim."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from processor.adapters.redis import Under
from processor.adapters.redis.checkpoint import Following
from processor.core.checkpoint import NOTHING, Checkpoint
from processor.core.claims import Restored
from processor.core.standing import attempts_in, nobodys
from processor.core.states import ABSENT, Claim, State, parse_claim
from processor.core.window import News
from processor.ports import BelowFloor, Item, NotWhole, RebuildLost, ServerSeen
from schemas.identity import Key
from schemas.runtime.errors import ADOPTING, RedisUntrusted

__all__ = ["NOT_CARRIED", "NO_MARKER", "Carried", "Marker", "MemoryDedup", "Scripts"]

RANK = {
    State.ABSENT: 0,
    State.BARRED: 0,
    State.SENDING: 1,
    State.CLOSED: 1,
    State.UNCERTAIN: 2,
    State.UNCERTAIN_RECORDED: 2,
    State.DROPPED: 3,
    State.SENT: 4,
    State.SENT_RECORDED: 5,
}
DOUBTFUL = {State.UNCERTAIN, State.UNCERTAIN_RECORDED, State.DROPPED}


class Marker(NamedTuple):
    """The marker's hash."""

    installation: str = ""
    lineage: str = ""
    run: str = ""
    granted: int = 0


NO_MARKER = Marker()


class Carried(NamedTuple):
    """The checkpoint's hash."""

    checkpoint: Checkpoint = NOTHING
    moves: int = 0
    sealed: float = 0.0
    """of which moment the seals must be"""
    follower: str = ""
    until_ms: float = 0.0


NOT_CARRIED = Carried()


class Scripts:
    """What each script makes of a claim. A mutation of the protocol overrides one of them."""

    def expired(self, claim: Claim) -> Claim:
        """A claim or a bar whose lifetime has passed."""
        if claim.state is State.BARRED:
            return replace(claim, since_ms=0)
        return Claim(State.UNCERTAIN, attempt=claim.attempt) if claim.state is State.SENDING else claim

    def claim(self, claim: Claim, item: Item, now_ms: int) -> Claim:
        mine = Claim(State.SENDING, attempt=item.attempt, since_ms=now_ms)
        match claim.state:
            case State.ABSENT:
                return mine
            case State.SENDING if claim.attempt == item.attempt:
                return mine
            case State.CLOSED if claim.partition != item.partition or claim.offset < item.offset:
                return mine
            case _ if claim.state in DOUBTFUL and item.overrides and claim.attempt == item.overrides:
                return mine
        return claim

    def below(self, key: Key, floor: str) -> bool:
        """Whether the key's month is closed for good."""
        return key.month < floor

    def superseded(self, places: dict[int, int], item: Item) -> bool:
        """Whether the item's record counts no more."""
        return places.get(item.partition, -1) >= item.offset

    def tells(self, teller: str, who: str) -> bool:
        """Whether a letter is for `who` to write."""
        return teller == who

    def cancel(self, claim: Claim, item: Item, now_ms: int) -> Claim:
        ended = claim.state is State.CLOSED and (claim.partition != item.partition or claim.offset <= item.offset)
        bar = claim.state is State.BARRED and (claim.since_ms == 0 or claim.attempt == item.attempt)
        if claim.state is State.ABSENT or ended or bar:
            return Claim(State.BARRED, attempt=item.attempt, since_ms=now_ms)
        return claim

    def refuse(self, claim: Claim, item: Item, now_ms: int) -> Claim:
        older = claim.state is State.CLOSED and (claim.partition != item.partition or claim.offset < item.offset)
        mine = claim.state is State.BARRED and claim.attempt == item.attempt
        if claim.state is State.ABSENT or older or mine:
            return Claim(State.BARRED, attempt=item.attempt, since_ms=now_ms)
        return claim

    def note_refused(self, claim: Claim, item: Item, now_ms: int) -> Claim:
        names = attempts_in(claim.attempt) if claim.state is State.SENDING else []
        if item.attempt not in names:
            return claim
        if others := [name for name in names if name != item.attempt]:
            return replace(claim, attempt=nobodys(others))
        return Claim(State.BARRED, attempt=item.attempt, since_ms=now_ms)

    def note_sent(self, claim: Claim, item: Item) -> Claim:
        stands = claim.state in {State.SENT, State.SENT_RECORDED}
        if stands or (claim.state is State.DROPPED and claim.attempt == item.attempt):
            return claim
        return Claim(State.SENT, message_id=item.message_id, fingerprint=item.fingerprint)

    prove = note_sent

    def drop(self, claim: Claim, item: Item) -> Claim:
        return self._dropped(claim, item, item.message_id)

    def record_drop(self, claim: Claim, item: Item) -> Claim:
        return self._dropped(claim, item, "")

    def _dropped(self, claim: Claim, item: Item, message_id: str) -> Claim:
        another = claim.attempt != "" and item.attempt not in attempts_in(claim.attempt)
        if another or (claim.state is State.SENT and claim.message_id != item.message_id):
            return claim
        recorded = claim == Claim(State.DROPPED, attempt=item.attempt)
        return claim if recorded else Claim(State.DROPPED, attempt=item.attempt, message_id=message_id)

    def release(self, claim: Claim, item: Item) -> Claim:
        names = attempts_in(claim.attempt) if claim.state in {State.SENDING, State.BARRED} else []
        if item.attempt not in names:
            return claim
        if others := [name for name in names if name != item.attempt]:
            return replace(claim, attempt=nobodys(others))
        return Claim(State.UNCERTAIN_RECORDED, attempt=item.overrides) if item.overrides else ABSENT

    def note_uncertain(self, claim: Claim, item: Item) -> Claim:
        mine = claim.state is State.SENDING and claim.attempt == item.attempt
        return Claim(State.UNCERTAIN, attempt=item.attempt) if mine else claim

    def record_sent(self, claim: Claim, item: Item) -> Claim:
        dropped = claim.state is State.DROPPED and claim.attempt == item.attempt
        if claim.state is State.SENT_RECORDED or dropped:
            return claim
        attempt = item.attempt if item.overrides else ""
        return Claim(State.SENT_RECORDED, fingerprint=item.fingerprint, attempt=attempt)

    def record_uncertain(self, claim: Claim, item: Item) -> Claim:
        mine = claim.state in {State.SENDING, State.UNCERTAIN} and claim.attempt == item.attempt
        if mine or claim.state is State.ABSENT:
            return Claim(State.UNCERTAIN_RECORDED, attempt=item.attempt)
        return claim

    def close(self, claim: Claim, item: Item) -> Claim:
        older = claim.state is State.CLOSED and not (claim.partition == item.partition and claim.offset >= item.offset)
        mine = claim.state in {State.SENDING, State.BARRED} and claim.attempt == item.attempt != ""
        if claim.state is State.ABSENT or older or mine:
            return Claim(State.CLOSED, partition=item.partition, offset=item.offset)
        return claim

    def follow(self, claim: Claim, read: News) -> Claim:
        """Withdrawals, then what the ledger says."""
        for name, overrides in read.withdrawn:
            claim = self.release(claim, Item(read.key, attempt=name, overrides=overrides))
        known = parse_claim(read.claim)
        item = Item(read.key, read.attempt, known.partition, known.offset, "", known.fingerprint, known.attempt)
        match known.state:
            case State.SENT_RECORDED:
                return claim if claim.state is State.SENT else self.record_sent(claim, item)
            case State.UNCERTAIN_RECORDED:
                return self.record_uncertain(claim, item)
            case State.DROPPED:
                return self.record_drop(claim, item)
            case State.CLOSED:
                return self.close(claim, item)
        return claim

    def restore(self, claim: Claim, known: Claim, place: tuple[int, int], ended: str, now_ms: int) -> Claim:
        held = attempts_in(claim.attempt) if claim.state is State.SENDING else []
        ended_names = set(ended.split())
        if held and ended_names.issuperset(held):
            claim = ABSENT
        if known.state is not State.SENDING:
            return known if RANK[known.state] > RANK[claim.state] else claim
        if claim.state is State.BARRED and known.attempt == claim.attempt:
            return claim
        doubted = claim.state in DOUBTFUL and claim.attempt != known.attempt
        before = claim.state is State.CLOSED and (claim.partition != place[0] or place[1] > claim.offset)
        if RANK[claim.state] == 0 or held or doubted or before:
            names = attempts_in(known.attempt)
            names += [name for name in held if name not in ended_names and name not in names]
            return Claim(State.SENDING, attempt=names[0] if len(names) == 1 else nobodys(names), since_ms=now_ms)
        return claim


class MemoryDedup:
    """The port `Dedup` and the rest of the adapter's surface over a dict; time is the test's."""

    def __init__(self, lifetime_s: float, now_ms: Callable[[], int], scripts: Scripts | None = None) -> None:
        self.claims: dict[Key, Claim] = {}
        self.places: dict[Key, dict[int, int]] = {}
        """of a key: up to which offset of each partition its records count no more"""
        self.telling: dict[tuple[int, int], tuple[str, int]] = {}
        """place of a record: who tells of it, and since when"""
        self.floor = ""
        """months before it are closed for good"""
        self.run = "run"
        self.marker = NO_MARKER
        self.carried = NOT_CARRIED
        self.seals = 0.0
        """of which moment; only a server's own copy keeps it"""
        self.under: Callable[[], Under] = Under
        """for whom the scripts work: whoever asks"""
        self._lock: str | None = None
        self._until_ms = 0.0
        self._granted = Under()
        self._notes: set[tuple[str, str]] = set()
        self._feed_ms = 0
        self._lifetime_ms = int(lifetime_s * 1000)
        self._now_ms = now_ms
        self._scripts = scripts or Scripts()

    def _current(self, key: Key) -> Claim:
        claim = self.claims.get(key, ABSENT)
        held = claim.state is State.SENDING or (claim.state is State.BARRED and claim.since_ms > 0)
        if held and self._now_ms() - claim.since_ms >= self._lifetime_ms:
            claim = self._scripts.expired(claim)
            self.claims[key] = claim
        return claim

    def _put(self, key: Key, claim: Claim) -> Claim:
        self.claims[key] = claim
        return claim

    def mark(self) -> None:
        """It is whole, without a rebuild."""
        self.marker = Marker(run=self.run)

    def _is_whole_here(self, seen: int) -> bool:
        return self.run != "" and self.marker.run == self.run and self.marker.granted >= seen

    def _seen(self) -> Under:
        return self.under().at_least(self._granted)

    @property
    def granted(self) -> int:
        return self._seen().granted

    def _is_whole(self) -> bool:
        under, marker = self._seen(), self.marker
        ours = (marker.installation, marker.lineage) == (under.installation, under.lineage)
        return ours and self._is_whole_here(under.granted)

    def _check(self) -> None:
        if not self._is_whole():
            raise NotWhole("the dedup set is not whole")

    def _check_some(self, items: Sequence[Item]) -> None:
        if items:
            self._check()

    async def raise_floor(self, month: str = "") -> str:
        self.floor = max(self.floor, month)
        return self.floor

    async def drop_below_floor(self) -> None:
        self.claims = {key: claim for key, claim in self.claims.items() if key.month >= self.floor}
        self.places = {key: places for key, places in self.places.items() if key.month >= self.floor}
        self._notes = {(month, note) for month, note in self._notes if month >= self.floor}

    async def prepare(self, floor: str) -> str:
        """Nothing expires here."""
        return await self.raise_floor(floor)

    async def time_ms(self) -> int:
        return self._now_ms()

    async def claim(self, items: Sequence[Item]) -> list[Claim]:
        self._check()
        if any(self._scripts.below(item.key, self.floor) for item in items):
            raise BelowFloor(self.floor)
        out = []
        for item in items:
            held = self.claims.get(item.key, ABSENT)
            mine = held.state is State.SENDING and held.attempt == item.attempt
            before = held if mine else self._current(item.key)
            after = self._scripts.claim(before, item, self._now_ms())
            granted = after.state is State.SENDING and after.attempt == item.attempt
            places = self.places.get(item.key, {})
            if granted and self._scripts.superseded(places, item):
                out.append(Claim(State.CLOSED, partition=item.partition, offset=places[item.partition]))
            else:
                out.append(self._put(item.key, after))
        self.marker = self.marker._replace(granted=self.marker.granted + 1)
        self._granted = self._seen()._replace(granted=self.marker.granted)
        return out

    async def supersede(self, items: Sequence[Item]) -> list[Claim]:
        self._check()
        for item in items:
            places = self.places.get(item.key, {})
            if item.offset > places.get(item.partition, -1):
                self.places[item.key] = places | {item.partition: item.offset}
        return [self._current(item.key) for item in items]

    async def cancel(self, items: Sequence[Item]) -> list[Claim]:
        self._check()
        now_ms = self._now_ms()
        return [self._put(i.key, self._scripts.cancel(self._current(i.key), i, now_ms)) for i in items]

    async def refuse(self, items: Sequence[Item]) -> list[Claim]:
        self._check()
        now_ms = self._now_ms()
        return [self._put(i.key, self._scripts.refuse(self._current(i.key), i, now_ms)) for i in items]

    async def tell(self, places: Sequence[tuple[int, int]], who: str) -> list[bool]:
        self._check()
        now_ms = self._now_ms()
        for place in places:
            held, since_ms = self.telling.get(place, (who, 0))
            if held == who or now_ms - since_ms >= self._lifetime_ms:
                self.telling[place] = (who, now_ms)
        return [self._scripts.tells(self.telling[place][0], who) for place in places]

    async def recorded(self, keys: Sequence[Key]) -> list[Claim | None]:
        claims = [self.claims.get(key, ABSENT) for key in keys]
        return [claim if claim.state is State.SENT_RECORDED else None for claim in claims]

    def _write(self, items: Sequence[Item], change: Callable[[Claim, Item], Claim]) -> list[Claim]:
        return [self._put(item.key, change(self.claims.get(item.key, ABSENT), item)) for item in items]

    def _fact(self, items: Sequence[Item], change: Callable[[Claim, Item], Claim]) -> list[Claim]:
        before = []
        for item in items:
            before.append(self.claims.get(item.key, ABSENT))
            self._put(item.key, change(before[-1], item))
        return before

    async def note_sent(self, items: Sequence[Item]) -> list[Claim]:
        return self._write(items, self._scripts.note_sent)

    async def release(self, items: Sequence[Item]) -> None:
        self._check_some(items)
        self._write(items, self._scripts.release)

    async def note_refused(self, items: Sequence[Item]) -> None:
        self._check_some(items)
        self._write(items, lambda claim, item: self._scripts.note_refused(claim, item, self._now_ms()))

    async def note_uncertain(self, items: Sequence[Item]) -> list[Claim]:
        self._check_some(items)
        return self._write(items, self._scripts.note_uncertain)

    async def record_sent(self, items: Sequence[Item]) -> list[Claim]:
        return self._write(items, self._scripts.record_sent)

    async def record_uncertain(self, items: Sequence[Item]) -> list[Claim]:
        self._check_some(items)
        return self._write(items, self._scripts.record_uncertain)

    async def close(self, items: Sequence[Item]) -> None:
        self._check_some(items)
        self._write(items, self._scripts.close)

    async def prove(self, items: Sequence[Item]) -> list[Claim]:
        return self._fact(items, self._scripts.prove)

    async def drop(self, items: Sequence[Item]) -> list[Claim]:
        return self._fact(items, self._scripts.drop)

    async def record_drop(self, items: Sequence[Item]) -> None:
        self._write(items, self._scripts.record_drop)

    async def restore(self, claims: Sequence[Restored], token: str, ttl_s: float) -> None:
        if not await self.extend_lock(token, ttl_s):
            raise RebuildLost("the rebuild has lost its lock")
        for key, text, place, ended, _ in claims:
            held = self.claims.get(key, ABSENT)
            self._put(key, self._scripts.restore(held, parse_claim(text), place, ended, self._now_ms()))

    async def peek(self, key: Key) -> Claim | None:
        return self.claims.get(key, ABSENT) if self._is_whole() else None

    async def peek_all(self, keys: Sequence[Key]) -> list[Claim]:
        return [self.claims.get(key, ABSENT) for key in keys]

    async def entries(self) -> AsyncIterator[tuple[Key, Claim]]:
        for key, claim in self.claims.items():
            if claim.state is not State.ABSENT:
                yield key, claim

    async def server(self) -> ServerSeen:
        if not self.run:
            raise RedisUntrusted("redis-tells-no-id", "Redis does not tell its run id")
        under, marker = self._seen(), self.marker
        seen = under.granted if marker.lineage == under.lineage else 0
        return ServerSeen(self.run, marker.installation, marker.lineage, whole=self._is_whole_here(seen))

    async def is_whole(self) -> bool:
        await self.server()
        return self._is_whole()

    async def set_whole(
        self, token: str, lineage: str = "", checkpoint: Checkpoint = NOTHING, since: Checkpoint = NOTHING
    ) -> bool:
        if not self._holds(token):
            return False
        under = self.under()
        self.marker = Marker(under.installation, lineage or under.lineage, self.run)
        self._lock = None
        moved = self.carried._replace(checkpoint=checkpoint, moves=self.carried.moves + 1)
        self.carried = NOT_CARRIED if checkpoint == NOTHING else moved
        if checkpoint != NOTHING and since == NOTHING:
            self.seals = self._now_ms() + 1.0
            self.carried = self.carried._replace(sealed=self.seals)
        return True

    async def checkpoint(self, token: str) -> Checkpoint:
        if not self._holds(token):
            raise RebuildLost("the rebuild has lost its lock")
        under, marker = self._seen(), self.marker
        here = (marker.run, marker.lineage) == (self.run, under.lineage)
        older = here and marker.granted < under.granted
        ours = marker.installation == under.installation and marker.run != "" and not older
        if not ours or self.carried.sealed != self.seals:
            self.carried = NOT_CARRIED
        return self.carried.checkpoint

    def _check_under(self, lineage: str) -> None:
        marker, seen = self.marker, self._seen()
        ours = (marker.installation, marker.lineage) == (seen.installation, lineage)
        if not ours or not self._is_whole_here(seen.granted if seen.lineage == lineage else 0):
            raise NotWhole("the dedup set is not whole")

    async def follows(self, who: str, lineage: str, ttl_s: float) -> Following | None:
        self._check_under(lineage)
        carried, now_ms = self.carried, self._now_ms()
        if not carried.moves or (carried.follower not in {"", who} and now_ms < carried.until_ms):
            return None
        self.carried = carried._replace(follower=who, until_ms=now_ms + ttl_s * 1000)
        return Following(carried.moves, carried.checkpoint)

    async def follow(
        self,
        read: Sequence[News],
        moves: int,
        lineage: str,
        checkpoint: Checkpoint | None = None,
        expire: bool = False,
    ) -> tuple[int, list[Claim]]:
        self._check_under(lineage)
        if self.carried.moves != moves:
            return -1, []
        claims = [self._current(one.key) if expire else self.claims.get(one.key, ABSENT) for one in read]
        after = [self._put(one.key, self._scripts.follow(claim, one)) for one, claim in zip(read, claims, strict=True)]
        if checkpoint is not None:
            self.carried = self.carried._replace(checkpoint=checkpoint, moves=moves + 1)
        return self.carried.moves, after

    async def bar(self, token: str) -> tuple[str, bool]:
        if not self._holds(token):
            raise RebuildLost("the adoption has lost its lock")
        held, whole = self.marker, self._is_whole()
        whose = held.lineage if held.installation == ADOPTING else held.installation
        # The real one keeps it in a field of its own.
        self.marker, self.carried = Marker(ADOPTING, whose), NOT_CARRIED
        return whose, whole

    async def forget_places(self) -> None:
        self.places.clear()

    async def adopt(self, changes: Sequence[tuple[Key, Claim, Claim]], token: str, ttl_s: float) -> None:
        if not await self.extend_lock(token, ttl_s):
            raise RebuildLost("the adoption has lost its lock")
        for key, before, after in changes:
            if self.claims.get(key, ABSENT).to_text() == before.to_text():
                self._put(key, after)

    async def own(self, token: str, installation: str) -> None:
        if not self._holds(token):
            raise RebuildLost("the adoption has lost its lock")
        self.marker, self._lock = Marker(installation), None

    async def unset_whole(self) -> None:
        self.marker = NO_MARKER

    def _holds(self, token: str) -> bool:
        if self._lock is not None and self._now_ms() >= self._until_ms:
            self._lock = None
        return self.run != "" and self._lock == f"{token}:{self.run}"

    def _lock_for(self, token: str, ttl_s: float) -> bool:
        self._lock, self._until_ms = f"{token}:{self.run}", self._now_ms() + ttl_s * 1000
        return True

    async def lock_rebuild(self, token: str, ttl_s: float) -> bool:
        free = not self._holds(token) and (self._lock is None or not self._lock.endswith(f":{self.run}"))
        return self.run != "" and (free or self._holds(token)) and self._lock_for(token, ttl_s)

    async def extend_lock(self, token: str, ttl_s: float) -> bool:
        return self._holds(token) and self._lock_for(token, ttl_s)

    async def unlock_rebuild(self, token: str) -> None:
        if self._holds(token):
            self._lock = None

    async def noted(self, notes: Sequence[tuple[str, str]]) -> list[bool]:
        return [note in self._notes for note in notes]

    async def note(self, notes: Sequence[tuple[str, str]]) -> None:
        self._notes.update(notes)

    async def feed_alive_ms(self, seen_ms: int = 0) -> int:
        self._feed_ms = max(self._feed_ms, seen_ms)
        return self._feed_ms

    # ---- for tests: what an operator with a Redis console could do ----

    async def poke(self, key: Key, claim: Claim) -> None:
        self.claims[key] = claim

    async def set_marker(self, run: str) -> None:
        self.marker = self.marker._replace(run=run)

    async def set_granted(self, count: int) -> None:
        self.marker = self.marker._replace(granted=count)

    async def hide_id(self) -> None:
        self.run = ""

    async def break_seals(self) -> None:
        """As whoever copies keys."""
        self.seals = -1.0

    async def set_lock(self, held: str) -> None:
        self._lock, self._until_ms = held or None, self._now_ms() + 60_000
