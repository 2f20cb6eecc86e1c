"""The months one after the other on servers of their own, and the audit of the whole year."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from infra.embedded import Stack
from processor.adapters.redis import RedisDedup
from schemas.identity import Key, months_later
from schemas.records import DeadLetter, Delivery, Outcome
from tests.support.sandbox import SandboxAdmin
from tests.support.world import SHORT, World, make_world
from tests.year.month import Month, Opened
from tests.year.servers import AgingKafka, Pair
from tests.year.topics import MONTHS_KEPT, RETENTION_MONTHS, TopicsOfTheYear

__all__ = ["Left", "Told", "Year", "findings", "run"]

GROWN = {4: 6, 9: 8}
"""In these months partitions are added."""
CALLS_AT_ONCE = 2
LAST_WORDS = 4000
ROOM = 1.25
"""How much larger the last month may leave a topic or Redis than the first one with the whole retention behind it: segments
are removed whole, and compacted when Kafka comes to it."""
ROOM_BYTES = 20_000
Told = tuple[str, int, int, str]
"""A record (topic, partition, offset) and the reason of its letter."""


@dataclass(frozen=True)
class Left:
    """What one month left behind."""

    name: str
    failed_over: str
    killed: bool
    outcomes: dict[Outcome, int]
    bytes_of: dict[str, int]
    """each topic's, by its name without the prefix, and Redis's"""
    late: dict[str, int]
    """records of each topic that the retention would have taken, had their segments not held younger ones"""
    seconds: float


@dataclass
class Year:
    """All that was ever seen, whatever the retention has taken away since."""

    months: list[Left] = field(default_factory=list)
    published: set[Key] = field(default_factory=set)
    outcomes: dict[Key, Delivery] = field(default_factory=dict)
    accepted: Counter[Key] = field(default_factory=Counter)
    letters: dict[tuple[int, int], Told] = field(default_factory=dict)
    """by their own place"""
    below_floor: list[str] = field(default_factory=list)
    """names that Redis held of closed months"""

    def note(self, letters: list[tuple[int, int, DeadLetter]]) -> None:
        for partition, offset, letter in letters:
            source = letter.source
            self.letters[partition, offset] = (source.topic, source.partition, source.offset, letter.reason)


def run(folder: Path, months: int, tell: Callable[[Left], None]) -> Year:
    """So many months, the last of them the present one; what they left is told as they end."""
    stack, kafka, pair = Stack(folder / "ses", tied=True), AgingKafka(folder / "kafka"), Pair(folder / "valkey")
    try:
        stack.up(("ses",))
        env = stack.env() | {
            "MAILONCE_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka.port}",
            "MAILONCE_REDIS_URL": pair.url,
        }
        place = folder / "world"
        place.mkdir()
        world = make_world(env, SandboxAdmin(env["AWS_ENDPOINT_URL_SESV2"], stack.folder / "ses"), place, SHORT)
        world.env |= {
            "MAILONCE_RETENTION_MONTHS": str(RETENTION_MONTHS),
            "MAILONCE_CALLS_AT_ONCE": str(CALLS_AT_ONCE),
        }
        try:
            return _months(world, kafka, pair, months, tell)
        except BaseException:
            for process in world.processes[-2:]:
                print(f"{process.log.name}: {process.log.read_text()[-LAST_WORDS:]}", file=sys.stderr)
            raise
        finally:
            world.close()
    finally:
        pair.close()
        kafka.close()
        stack.down()


def _months(world: World, kafka: AgingKafka, pair: Pair, months: int, tell: Callable[[Left], None]) -> Year:
    year, opened, topics = Year(), Opened(), TopicsOfTheYear(world.settings)
    topics.make_small()
    for number in range(months):
        name = months_later(datetime.now(UTC).strftime("%Y-%m"), number - months + 1)
        began_s = time.monotonic()
        topics.begin_month()
        month = Month(world, pair, number, name, opened)
        month.run(GROWN.get(number, 0))
        ledger = {key: entries[-1] for key, entries in world.deliveries().items()}
        year.outcomes |= ledger
        year.note([(record.partition, record.offset, letter) for record, letter in world.dead_letters()])
        late = topics.age()
        year.below_floor += _below(pair, world, months_later(name, -RETENTION_MONTHS - 1))
        found = Counter(entry.outcome for key, entry in ledger.items() if key.month == name)
        took_s = time.monotonic() - began_s
        sizes = _bytes(world, kafka, pair)
        year.months.append(Left(name, month.failed_over, month.killed, dict(found), sizes, late, took_s))
        tell(year.months[-1])
    year.published |= world.published
    year.accepted.update({key: len(mails) for key, mails in world.sandbox.by_key().items()})
    return year


def _bytes(world: World, kafka: AgingKafka, pair: Pair) -> dict[str, int]:
    prefix = world.settings.topic_prefix
    sizes = {name: kafka.bytes_of(f"{prefix}{name}") for name in (*MONTHS_KEPT, "control")}
    return sizes | {"redis": pair.bytes_used()}


def _below(pair: Pair, world: World, floor: str) -> list[str]:
    """Closed months of which Redis still holds buckets."""
    base = RedisDedup(None, world.settings.topic_prefix, 1).marker.removesuffix("whole")  # type: ignore[arg-type]
    months = (name.removeprefix(base)[:7] for name in pair.names() if name.startswith(f"{base}2"))
    return sorted({month for month in months if month < floor})


def findings(year: Year) -> list[str]:
    """What of the promise does not hold; empty when all of it does."""
    found = [f"{key} was accepted {count} times" for key, count in year.accepted.items() if count > 1]
    found += [f"{key} has no outcome" for key in sorted(year.published - set(year.outcomes))]
    for key, count in year.accepted.items():
        outcome = year.outcomes[key].outcome if key in year.outcomes else None
        if count and outcome not in {Outcome.SENT, Outcome.UNCERTAIN}:
            found.append(f"{key} was accepted and is {outcome}")
    sent = {key for key, entry in year.outcomes.items() if entry.outcome is Outcome.SENT}
    found += [f"{key} is sent and was never accepted" for key in sorted(sent) if not year.accepted[key]]
    times = Counter(year.letters.values())
    found += [f"{told} was told {count} times" for told, count in times.items() if count > 1]
    found += _not_told(year)
    found += [f"Redis still holds {month}, which is closed" for month in dict.fromkeys(year.below_floor)]
    return found + _grown(year)


def _not_told(year: Year) -> list[str]:
    """Each month has one letter of each kind, and from the first closed month on one of a job that came too late."""
    months = len(year.months)
    late = max(0, months - RETENTION_MONTHS - 1)
    wanted = {"bad-key": months, "not-json": months, "changed-after-sending": months, "too-old": late}
    told = Counter(reason for *_, reason in year.letters.values())
    return [
        f"{reason}: {told[reason]} letters, {wanted.get(reason, 0)} expected"
        for reason in sorted(wanted | told)
        if told[reason] != wanted.get(reason, 0)
    ]


def _grown(year: Year) -> list[str]:
    """What the last month left is no larger than what the first one left that had the whole retention behind it."""
    full = max(MONTHS_KEPT.values())
    if len(year.months) <= full:
        return []
    first, last = year.months[full].bytes_of, year.months[-1].bytes_of
    return [
        f"{name} has grown from {first[name]:,} to {size:,} bytes"
        for name, size in last.items()
        if size > ROOM * first[name] + ROOM_BYTES
    ]
