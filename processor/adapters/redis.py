"""The dedup set and the group's pace in Redis or Valkey: one Lua script a change, nobody writes a state by hand.

Layout, all under one hash tag so that a cluster keeps it in one slot and a script can take every key:

- ``{mailonce:PREFIX}:whole``: the marker, a hash: whose set it is, under which lineage it is whole, and on which server
  (run id and replication id). When it is missing, or names another (a restart, a failover), the set cannot be trusted.
- ``{mailonce:PREFIX}:YYYY-MM:BBBB``: 65,536 buckets a month, hashes of user id to claim. Small hashes are packed, which
  costs a fifth of a key each. Nothing here expires by itself but what says so.
- ``{mailonce:PREFIX}:floor``: ``YYYY-MM``. Months before it are closed for good, and their buckets dropped.
- ``{mailonce:PREFIX}:lasting``: stands once whatever 0.1 lets expire was made to stay.
- ``{mailonce:PREFIX}:places:YYYY-MM:BBBB``: for few keys, hashes of user id to the places up to which its records count
  no more (`supersede`); a place stands there whatever becomes of the claim.
- ``{mailonce:PREFIX}:pace``: the budget of rate and quota; ``{mailonce:PREFIX}:spent``: what was sent of the quota, by
  the time of day. ``{mailonce:PREFIX}:rebuild``: the rebuild's lock.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from importlib.resources import files
from math import inf
from typing import Any, NamedTuple

import hiredis
import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from processor.adapters.redis_checkpoint import CheckpointScripts
from processor.core.checkpoint import NOTHING, Checkpoint
from processor.core.claims import Restored
from processor.core.pace import WINDOW_STEPS, window_opens_ms
from processor.core.states import Claim, parse_claim, short_id
from processor.ports import BelowFloor, Item, Lease, NotWhole, RebuildLost, ServerSeen
from schemas.identity import Key
from schemas.runtime.errors import ADOPTING, RedisUnavailable, RedisUntrusted
from schemas.runtime.settings import Settings

__all__ = ["CLOSE_S", "NOBODYS_SET", "RedisDedup", "RedisPace", "Under", "check_server", "connect"]

BUCKETS = 65_536
_MONTH = re.compile(r":\d{4}-\d{2}(:[0-9a-f]{4})?$")
"""ends the name of what is kept of a month"""
TIMEOUT_S = 5.0
CLOSE_S = 2.0
"""For saying goodbye to a server that may not listen."""
_POLICIES = {"noeviction"}


def connect(settings: Settings) -> redis.asyncio.Redis:
    """A client that does not retry by itself: a script whose answer was lost is repeated by the protocol's rules."""
    client = redis.asyncio.Redis.from_url(
        settings.redis_url.get_secret_value(),
        decode_responses=True,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    pool = client.connection_pool
    pool.connection_class = type("Connection", (_PackedInC, pool.connection_class), {})
    return client


class _PackedInC:
    """hiredis writes commands too: redis-py's asyncio connections only read with it, and a claim has 200 arguments."""

    def pack_command(self, *args: str | int | float | bytes) -> list[bytes]:
        first, *rest = args
        return [hiredis.pack_command((*str(first).split(), *rest))]  # type: ignore[arg-type]  # any number


async def check_server(client: redis.asyncio.Redis) -> None:
    """Refuses a server that may throw entries away, or does not tell who it is; raises `RedisUnavailable`."""
    try:
        run = await client.eval(_source("run"), 0)
        policy = await _policy(client) if run else ""
    except (RedisError, OSError) as error:
        raise RedisUnavailable(f"Redis does not answer: {error}; check MAILONCE_REDIS_URL") from error
    if not run:
        raise _nameless()
    if policy and policy not in _POLICIES:
        raise RedisUntrusted(
            "redis-evicts",
            f"Redis has maxmemory-policy {policy}, which evicts keys: a forgotten key would be a second mail. "
            f"Set it to noeviction (CONFIG SET maxmemory-policy noeviction)",
        )


def _nameless() -> RedisUntrusted:
    return RedisUntrusted(
        "redis-tells-no-id",
        "Redis does not tell its run id, so one that came back with older data would not be noticed: a second mail. "
        "Let the user of MAILONCE_REDIS_URL call INFO (ACL SETUSER name +info; no rename-command INFO)",
    )


def _source(name: str) -> str:
    """A script with what they share."""
    folder = files("processor.adapters").joinpath("lua")
    return "".join(folder.joinpath(f"{part}.lua").read_text() for part in ("prelude", "facts", name))


async def _policy(client: redis.asyncio.Redis) -> str:
    try:
        return str((await client.config_get("maxmemory-policy")).get("maxmemory-policy", ""))
    except ResponseError:
        # Managed services forbid CONFIG; INFO tells the same.
        return str((await client.info("memory")).get("maxmemory_policy", ""))


class _Scripts:
    """A folder of Lua scripts on one client, with Redis's errors translated."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._scripts: dict[str, Any] = {}

    async def run(self, name: str, keys: list[str], args: list[str | int | float | bytes]) -> Any:
        if name not in self._scripts:
            self._scripts[name] = self._client.register_script(_source(name))
        try:
            return await self._scripts[name](keys=keys, args=args)
        except BusyLoadingError as error:
            raise RedisUnavailable(str(error)) from error
        except ResponseError as error:
            if str(error).startswith("NOTWHOLE"):
                raise NotWhole("the dedup set is not whole") from None
            if str(error).startswith("BELOW "):
                raise BelowFloor(str(error).split()[1]) from None
            if str(error).startswith("NOTHELD"):
                raise RebuildLost("the rebuild has lost its lock") from None
            raise RedisUnavailable(f"Redis refuses: {error}") from error
        except (RedisError, OSError, TimeoutError) as error:
            raise RedisUnavailable(f"Redis does not answer: {error}") from error


NO_ID = "-"
"""Written for an id that there is none of: the arguments of a script stand between blanks."""


class Under(NamedTuple):
    """For whom a script works: nothing is granted by a set of another installation, lineage or time."""

    installation: str = ""
    lineage: str = ""
    granted: int = 0
    """the highest number of grants that is known of the lineage"""

    def at_least(self, seen: Under) -> Under:
        """The same, with the grants that `seen` tells of, where that is of this lineage."""
        own = seen.granted if seen.lineage == self.lineage else 0
        return self._replace(granted=max(self.granted, own))

    def to_argument(self) -> str:
        return f"{self.installation or NO_ID} {self.lineage or NO_ID} {self.granted}"


NOBODYS_SET = Under()
"""Of tests alone: there is no control topic."""


class RedisDedup(CheckpointScripts):
    """See `processor.ports.Dedup` for the laws."""

    def __init__(self, client: redis.asyncio.Redis, prefix: str, lifetime_s: float) -> None:
        self._run = _Scripts(client).run
        self._client = client
        self._base = f"{{mailonce:{prefix}}}"
        self._lifetime_ms = int(lifetime_s * 1000)
        self.under: Callable[[], Under] = lambda: NOBODYS_SET
        """Whose set it must be, and the newest lineage; without a control topic: nobody's."""
        self._granted = Under()
        """the lineage that was last granted under, and how many grants it has seen"""

    @classmethod
    def of(cls, settings: Settings, client: redis.asyncio.Redis) -> RedisDedup:
        return cls(client, settings.topic_prefix, settings.attempt_lifetime_s)

    @property
    def marker(self) -> str:
        return f"{self._base}:whole"

    @property
    def floor(self) -> str:
        return f"{self._base}:floor"

    @property
    def lasting(self) -> str:
        return f"{self._base}:lasting"

    @property
    def lock(self) -> str:
        return f"{self._base}:rebuild"

    def _bucket(self, key: Key) -> str:
        return f"{self._base}:{key.month}:{zlib.crc32(key.user_id.encode()) % BUCKETS:04x}"

    def _places(self, key: Key) -> str:
        return f"{self._base}:places:{key.month}:{zlib.crc32(key.user_id.encode()) % BUCKETS:04x}"

    async def _read(
        self,
        name: str,
        items: Sequence[Item],
        per_item: Callable[[Item], tuple[Any, ...]],
        *kept: str,
        places: bool = False,
    ) -> list[Claim]:
        keys, under = [self.marker, *kept], self._seen()
        for item in items:
            keys += [self._bucket(item.key), self._places(item.key)] if places else [self._bucket(item.key)]
        values = await self._run(name, keys, [self._lifetime_ms, *_flat(items, per_item), under.to_argument()])
        if len(values) > len(items):
            self._granted = under._replace(granted=int(values.pop()))
        return [parse_claim(value) for value in values]

    def _seen(self) -> Under:
        """The newest lineage, with the highest number of grants that anybody has seen."""
        return self.under().at_least(self._granted)

    @property
    def granted(self) -> int:
        """How many grants of the newest lineage this process knows of: for others to know as well."""
        return self._seen().granted

    async def _write(self, name: str, items: Sequence[Item], per_item: Callable[[Item], tuple[Any, ...]]) -> Any:
        if not items:
            return []
        return await self._run(name, [self._bucket(item.key) for item in items], _flat(items, per_item))

    async def claim(self, items: Sequence[Item]) -> list[Claim]:
        return await self._read(
            "claim",
            items,
            lambda i: (i.key.user_id, i.attempt, i.partition, i.offset, i.overrides),
            self.floor,
            places=True,
        )

    async def supersede(self, items: Sequence[Item]) -> list[Claim]:
        return await self._read("supersede", items, lambda i: (i.key.user_id, i.partition, i.offset), places=True)

    async def cancel(self, items: Sequence[Item]) -> list[Claim]:
        return await self._read("cancel", items, lambda i: (i.key.user_id, i.partition, i.offset))

    async def refuse(self, items: Sequence[Item]) -> list[Claim]:
        return await self._read("refuse", items, lambda i: (i.key.user_id, i.attempt, i.partition, i.offset))

    async def recorded(self, keys: Sequence[Key]) -> list[Claim | None]:
        values = await self._run("recorded", [self._bucket(key) for key in keys], [key.user_id for key in keys])
        return [parse_claim(value) if value else None for value in values]

    async def mark_sent(self, items: Sequence[Item]) -> list[Claim]:
        return [parse_claim(after) for _, after in await self._fact("sent", items, lambda i: i.fingerprint)]

    async def _fact(self, name: str, items: Sequence[Item], text: Callable[[Item], str]) -> Any:
        return await self._write(
            name, items, lambda i: (i.key.user_id, short_id(i.message_id), i.attempt, text(i), i.message_id)
        )

    async def _lower(self, name: str, items: Sequence[Item], per_item: Callable[[Item], tuple[Any, ...]]) -> Any:
        """What frees or lowers: only in a set that is whole. Raises `NotWhole`."""
        if not items:
            return []
        keys = [self.marker, *(self._bucket(item.key) for item in items)]
        return await self._run(name, keys, [*_flat(items, per_item), self._seen().to_argument()])

    async def release(self, items: Sequence[Item]) -> None:
        await self._lower("release", items, lambda i: (i.key.user_id, i.attempt, i.overrides))

    async def mark_refused(self, items: Sequence[Item]) -> None:
        await self._lower("mark_refused", items, lambda i: (i.key.user_id, i.attempt))

    async def mark_doubt(self, items: Sequence[Item]) -> list[Claim]:
        after = await self._lower("mark_doubt", items, lambda i: (i.key.user_id, i.attempt))
        return [parse_claim(value) for value in after]

    async def record_sent(self, items: Sequence[Item]) -> list[Claim]:
        # After a resend the attempt stays as well: a late word of SES's about the earlier one must not be taken for it.
        def about(i: Item) -> tuple[str, str, str]:
            return i.key.user_id, f"{i.fingerprint}:{i.attempt}" if i.overrides else i.fingerprint, i.attempt

        return [parse_claim(value) for value in await self._write("record", items, about)]

    async def record_doubt(self, items: Sequence[Item]) -> list[Claim]:
        values = await self._lower("record_doubt", items, lambda i: (i.key.user_id, i.attempt))
        return [parse_claim(value) for value in values]

    async def close(self, items: Sequence[Item]) -> None:
        await self._lower("close", items, lambda i: (i.key.user_id, i.partition, i.offset, i.attempt))

    async def prove(self, items: Sequence[Item]) -> list[Claim]:
        """SES's event proves acceptance: writes the fact over anything that knows less; returns what stood there."""
        return [parse_claim(before) for before, _ in await self._fact("sent", items, lambda i: i.fingerprint)]

    async def drop(self, items: Sequence[Item]) -> list[Claim]:
        """SES's event says that it accepted and dropped the attempt's message; returns what stood there."""
        before = await self._fact("drop", items, lambda i: f":{short_id(i.message_id)}")
        return [parse_claim(value) for value in before]

    async def record_drop(self, items: Sequence[Item]) -> None:
        await self._fact("drop", items, lambda _: "")

    # ---- what evidence keeps beside the claims ----

    async def noted(self, notes: Sequence[tuple[str, str]]) -> list[bool]:
        """Which of these (month, event) were noted before."""
        async with self._client.pipeline(transaction=False) as pipe:
            for month, note in notes:
                pipe.sismember(f"{self._base}:noted:{month}", note)
            return [bool(found) for found in await _asking(pipe.execute())] if notes else []

    async def note(self, notes: Sequence[tuple[str, str]]) -> None:
        """Notes events that Kafka holds, so that their repetitions are known."""
        async with self._client.pipeline(transaction=False) as pipe:
            for month, note in notes:
                pipe.sadd(f"{self._base}:noted:{month}", note)
            if notes:
                await _asking(pipe.execute())

    async def feed_alive_ms(self, seen_ms: int = 0) -> int:
        """The latest sending time (ms) of which the event feed has told, `seen_ms` included."""
        return int(await self._run("feed", [f"{self._base}:feed"], [seen_ms]))

    # ---- the floor ----

    async def raise_floor(self, month: str = "") -> str:
        """From now on nothing is granted for months before this one. Returns the set's floor, which may be higher."""
        return str(await self._run("floor", [self.floor], [month]))

    async def drop_below_floor(self) -> None:
        """Gives back the memory of months before the set's floor. Broken off, it may be done again."""
        async for names in self._named():
            await self._run("floor", [self.floor, *names], [""])

    async def prepare(self, floor: str) -> str:
        """Before a rebuild: what stands here stays but for a floor's act. Returns the set's floor, as `raise_floor`."""
        await self.keep_all()
        return await self.raise_floor(floor)

    async def keep_all(self) -> None:
        """What 0.1 lets expire stays from now on: once for all in a set's life."""
        if await _asking(self._client.exists(self.lasting)):
            return
        async for names in self._named():
            async with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.persist(name)
                await _asking(pipe.execute())
        await _asking(self._client.set(self.lasting, 1))

    async def _named(self) -> AsyncIterator[list[str]]:
        """Names of months' entries, some hundreds at once."""
        cursor = 0
        while True:
            cursor, names = await _asking(self._client.scan(cursor, match=f"{_escaped(self._base)}:*", count=1000))
            if ours := [str(name) for name in names if _MONTH.search(str(name))]:
                yield ours
            if not cursor:
                return

    async def time_ms(self) -> int:
        """The server's clock."""
        seconds, micros = await _asking(self._client.time())
        return int(seconds) * 1000 + int(micros) // 1000

    # ---- the rebuild's side ----

    async def restore(self, claims: Sequence[Restored], token: str, ttl_s: float) -> None:
        """Puts claims back, sending since now; lowers none that is there, but frees those whose attempts have ended.

        Keeps the lock as well. Raises `RebuildLost` and changes nothing when that is no longer the token's.
        """
        keys = [self.lock, *(self._bucket(known.key) for known in claims)]
        items = [[k.key.user_id, k.claim, *k.place, k.ended] for k in claims]
        await self._run("restore", keys, [token, int(ttl_s * 1000), msgspec.msgpack.encode(items)])

    async def peek(self, key: Key) -> Claim | None:
        """A key's claim as it stands, for people; ``None`` when the set is not whole."""
        return (await self.peek_all([key]))[0] if await self.is_whole() else None

    async def peek_all(self, keys: Sequence[Key]) -> list[Claim]:
        """Claims as they stand, whole or not, changing nothing."""
        async with self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hget(self._bucket(key), key.user_id)
            return [parse_claim(str(value or "")) for value in await _asking(pipe.execute())]

    async def forget(self, keys: Sequence[Key]) -> None:
        """Takes the keys' entries out: only for keys without a job that anybody could still claim for."""
        async with self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hdel(self._bucket(key), key.user_id)
                pipe.hdel(self._places(key), key.user_id)
            if keys:
                await _asking(pipe.execute())

    async def entries(self) -> AsyncIterator[tuple[Key, Claim]]:
        """Every entry of the set, bucket after bucket."""
        async for name in self._client.scan_iter(match=f"{_escaped(self._base)}:2*", count=1000):
            month = str(name).split(":")[-2]
            for user_id, value in (await _asking(self._client.hgetall(name))).items():
                yield Key(user_id, month), parse_claim(value)

    async def server(self) -> ServerSeen:
        """Who the server is, and what its set is worth. Raises `RedisUntrusted` when it does not tell its ids."""
        under = self._seen()
        told = await self._run("whole", [self.marker], [under.lineage or NO_ID, under.granted])
        run, installation, lineage = (str(name).removeprefix(NO_ID) for name in told[:3])
        if not run:
            raise _nameless()
        return ServerSeen(run, installation, lineage, whole=bool(told[3]))

    async def is_whole(self) -> bool:
        """Whether claims may be granted under the newest lineage."""
        seen, under = await self.server(), self.under()
        return seen.whole and (seen.installation, seen.lineage) == (under.installation, under.lineage)

    async def set_whole(
        self, token: str, lineage: str = "", checkpoint: Checkpoint = NOTHING, since: Checkpoint = NOTHING
    ) -> bool:
        """Marks the set as whole under this lineage. Ends the lock; false when it is not the token's.

        Args:
            token: the lock's.
            lineage: the one that was begun.
            checkpoint: up to where ledger and attempts are in the set now.
            since: from where they were read; from the beginning, and the set is sealed anew.
        """
        under = self.under()
        marked = [under.installation or NO_ID, lineage or under.lineage or NO_ID]
        places = "" if checkpoint == NOTHING else checkpoint.to_text()
        return bool(
            await self._run("set_whole", self._checkpoint_keys(), [token, *marked, places, int(since == NOTHING)])
        )

    async def unset_whole(self) -> None:
        """Takes the marker away: nobody claims until the set was rebuilt."""
        await _asking(self._client.delete(self.marker))

    async def lock_rebuild(self, token: str, ttl_s: float) -> bool:
        """Takes the lock for a rebuild under this token, on the server as it runs now."""
        return bool(await self._run("lock", [self.lock], [token, int(ttl_s * 1000), 1]))

    async def extend_lock(self, token: str, ttl_s: float) -> bool:
        """Keeps the lock; false when it is no longer the token's."""
        return bool(await self._run("lock", [self.lock], [token, int(ttl_s * 1000), 0]))

    async def unlock_rebuild(self, token: str) -> None:
        await self._run("unlock", [self.lock], [token])

    # ---- another installation's set, taken over ----

    async def bar(self, token: str) -> tuple[str, bool]:
        """From now on nobody is granted anything, until `own` and a rebuild.

        Returns whose set it was, if anybody's, and whether it was whole until now under the newest lineage.
        Raises `RebuildLost` where the lock is not the token's.
        """
        told: list[str | int | float | bytes] = [token, ADOPTING, self._seen().to_argument()]
        whose, whole = await self._run("bar", [self.marker, self.lock, self.checkpoint_key], told)
        return str(whose).removeprefix(NO_ID), bool(whole)

    async def forget_places(self) -> None:
        """Places up to which records count no more: they speak of another topic."""
        async for name in self._client.scan_iter(match=f"{_escaped(self._base)}:places:*", count=1000):
            await _asking(self._client.unlink(name))

    async def adopt(self, changes: Sequence[tuple[Key, Claim, Claim]], token: str, ttl_s: float) -> None:
        """Entries as they were read become what follows, those excepted that SES's word has changed meanwhile.

        Keeps the lock as well. Raises `RebuildLost`, having changed nothing, where it is not the token's.
        """
        values = [(key.user_id, before.to_text(), after.to_text()) for key, before, after in changes]
        keys = [self.lock, *(self._bucket(key) for key, _, _ in changes)]
        await self._run("adopt", keys, [token, int(ttl_s * 1000), *(text for three in values for text in three)])

    async def own(self, token: str, installation: str) -> None:
        """It is this installation's, to be rebuilt. Ends the lock; raises `RebuildLost` when it is not the token's."""
        await self._run("own", [self.marker, self.lock], [token, installation])


async def _asking(call: Any) -> Any:
    try:
        return await call
    except (RedisError, OSError, TimeoutError) as error:
        raise RedisUnavailable(f"Redis does not answer: {error}") from error


BURST_S = 0.1
"""That much sending may come at once: SES allows short bursts, not sustained ones."""
RECOVERY_PER_S = 0.02
"""After a throttle the rate comes back by this share of itself a second: 25 s for a half."""
ONE_MOMENT_MS = 1000
UNCOUNTED_MS = 2000
"""Mails leased so lately may still be on their way: SES's count may lack them."""
SHARE_MIN = 0.05
_NO_QUOTA, _NOT_TOLD = -1, -2


class RedisPace:
    """One budget for the whole group; see `processor.ports.Pace`."""

    def __init__(self, client: redis.asyncio.Redis, prefix: str, window_s: float) -> None:
        self._client = client
        self._run = _Scripts(client).run
        self._key = f"{{mailonce:{prefix}}}:pace"
        self._spent = f"{{mailonce:{prefix}}}:spent"
        self._step_ms = max(1, int(window_s * 1000 / WINDOW_STEPS))

    async def lease(self, wanted: int, rate: float, *, quota: bool) -> Lease:
        arguments: list[str | int | float | bytes] = [rate, BURST_S, wanted, RECOVERY_PER_S, int(quota), self._step_ms]
        arguments.append(UNCOUNTED_MS)
        granted, wait_ms, room = map(int, await self._run("lease", [self._key, self._spent], arguments))
        left = {_NO_QUOTA: inf, _NOT_TOLD: None}.get(room, float(room))
        return Lease(granted, min(0.25, wait_ms / 1000), left)

    async def leased(self) -> int:
        return int(await self._run("leased", [self._key], [UNCOUNTED_MS]))

    async def set_room(self, left: float, leased_before: int) -> None:
        await self._run("room", [self._key], [int(left), leased_before])

    async def quota_opens_s(self) -> float | None:
        seconds, micros = await _asking(self._client.time())
        spent = await _asking(self._client.hgetall(self._spent))
        steps = {int(step): int(mails) for step, mails in spent.items()}
        opens_ms = window_opens_ms(steps, seconds * 1000 + micros // 1000, self._step_ms)
        return None if opens_ms is None else opens_ms / 1000

    async def throttled(self) -> float:
        return int(await self._run("throttled", [self._key], [ONE_MOMENT_MS, SHARE_MIN])) / 1000


def _escaped(text: str) -> str:
    """`text` as a literal in a Redis pattern."""
    return "".join(f"\\{char}" if char in "*?[]\\^-" else char for char in text)


def _flat(items: Iterable[Item], per_item: Callable[[Item], tuple[Any, ...]]) -> list[Any]:
    return [value for item in items for value in per_item(item)]
