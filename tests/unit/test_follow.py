"""Who follows ledger and attempts: what is read, when the checkpoint moves, and what is settled for the dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from processor.adapters.redis import Under
from processor.core.checkpoint import NOTHING, Checkpoint, End, Ends, Place, Topic
from processor.core.control import Control
from processor.core.states import Claim, State, parse_claim
from processor.ports import NotWhole, Produced
from processor.recovery import follow, withdraw
from processor.recovery.follow import CheckpointFollower, portions, read_rows
from processor.recovery.withdraw import Withdrawals
from schemas.codec import decode_attempt, decode_delivery, encode
from schemas.control import ControlRecord, Heartbeat, Lineage
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.records import Attempt, Delivery, Outcome, Source
from schemas.runtime.settings import Settings, load_settings
from tests.simulation.dedup import MemoryDedup
from tests.support.parts import FakeClock
from tests.support.world import MONTH

KEY = Key("u1", MONTH)
RAW = KEY.to_bytes()
SOURCE = Source("jobs", 0, 4)
CURRENT_S = 10.0


def intent(name: str, process: str = "dead") -> Attempt:
    return Attempt(attempt=name, intended_at_ms=1, instance="i", source=SOURCE, fingerprint="f", process=process)


class Ground:
    """Two topics of one partition, a set that is whole, and a process that follows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings: Settings = load_settings(topic_prefix="t-", _env_file=None)
        self.topics: dict[str, list[bytes | None]] = {
            self.settings.topics.deliveries: [],
            self.settings.topics.attempts: [],
        }
        self.clock = FakeClock()
        self.control = Control()
        self.control.take(ControlRecord(0, "lineage", "l1", Lineage(id="l1", server="s", instance="i")), 0.0)
        self.dedup = MemoryDedup(30.0, lambda: 100_000)
        self.dedup.under = lambda: Under("", self.control.newest)
        self.written: list[Produced] = []
        here: Any = SimpleNamespace(control=self.control, process="me")
        dedup: Any = self.dedup
        writer: Any = SimpleNamespace(write=self.write)
        withdrawals = Withdrawals(self.settings, dedup, here, self.clock, writer, "mover")
        self.follower = CheckpointFollower(self.settings, dedup, here, self.clock, withdrawals)
        monkeypatch.setattr(follow, "ends_of", lambda _settings, _since: self.ends())
        monkeypatch.setattr(follow, "read_topic", self.read)
        monkeypatch.setattr(withdraw, "RecordReader", lambda *_: SimpleNamespace(get=self.get, close=int))

    async def made(self) -> Ground:
        await self.dedup.lock_rebuild("t", 30)
        places = {0: Place(0, 1)}
        await self.dedup.set_whole("t", "l1", Checkpoint(Topic("l", places), Topic("a", places)))
        return self

    def ends(self) -> Ends:
        ledger, attempts = self.topics.values()
        return Ends("l", {0: End(len(ledger), 1)}, "a", {0: End(len(attempts), 1)})

    def read(
        self, _settings: Settings, topic: str, partitions: Sequence[int], starts: Mapping[int, int]
    ) -> Iterator[Record]:
        for offset, value in enumerate(self.topics[topic]):
            if offset >= starts.get(0, 0):
                yield Record(0, offset, RAW, value, [], 0)

    def get(self, _partition: int, offset: int) -> Record | None:
        value = self.topics[self.settings.topics.attempts][offset]
        return None if value is None else Record(0, offset, RAW, value, [], 0)

    def write(self, records: Sequence[Produced]) -> None:
        self.written += records

    def attempt(self, one: Attempt) -> None:
        self.topics[self.settings.topics.attempts].append(encode(one))

    def stands(self) -> tuple[int, int]:
        carried = self.dedup.carried.checkpoint
        return carried.ledger.places[0].offset, carried.attempts.places[0].offset

    def silence(self) -> None:
        """Whoever was known by now has lapsed."""
        lapses = self.control.lapses
        lapses.read_back(self.clock.s, self.clock.s)
        self.clock.s += CURRENT_S + 1
        lapses.read_back(self.clock.s, self.clock.s)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    return Ground(monkeypatch).made


def test_much_is_read_partition_by_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded, and an outcome never comes before its intent."""
    ends = Ends("l", {0: End(5), 1: End(6)}, "a", {0: End(7), 1: End(8)})
    assert list(portions(NOTHING, ends)) == [ends]
    monkeypatch.setattr(follow, "TOGETHER_MAX", 10)
    first, second, last = portions(Checkpoint(Topic("l", {1: Place(2)}), Topic()), ends)
    assert (first.ledger, first.attempts) == ({0: End(5), 1: End(2)}, {0: End(7)})
    assert second.ledger == last.ledger == ends.ledger
    assert last == ends


async def test_not_a_record_more_is_read(here: Any) -> None:
    """What comes later is read again, with all that belongs to it; what nobody can read is passed over."""
    place = await here()
    place.attempt(intent("a"))
    place.topics[place.settings.topics.attempts] += [b"junk", None]
    ends = place.ends()
    place.attempt(intent("b"))
    rows = read_rows(place.settings, NOTHING, ends)
    (found, gone) = (one for _, one in rows[KEY].intents)
    assert (found.attempt, found.process, found.at, gone) == ("a", "dead", (0, 0), None)


async def test_the_checkpoint_moves_to_the_first_open_intent(here: Any) -> None:
    """G1: and on, once its outcome is in the set."""
    place = await here()
    place.attempt(intent("a"))
    await place.follower.look()
    assert place.stands() == (0, 0)
    sent = Delivery(outcome=Outcome.SENT, at_ms=1, source=SOURCE, instance="i", fingerprint="f", attempt="a")
    place.topics[place.settings.topics.deliveries].append(encode(sent))
    await place.follower.look()
    assert place.stands() == (1, 1)
    assert place.dedup.claims[KEY] == Claim(State.SENT_RECORDED, fingerprint="f")


async def test_nobody_follows_without_a_lineage_or_beside_another(here: Any) -> None:
    """Nothing is applied that was not read since the checkpoint that stands."""
    place = await here()
    place.attempt(replace(intent("a"), withdrawn=True))
    assert await place.dedup.follows("other", "l1", 30) is not None
    await place.follower.look()
    assert place.stands() == (0, 0)
    assert await place.dedup.follows("other", "l1", 0) is not None
    place.control.broken = "cut"
    await place.follower.look()
    assert place.stands() == (0, 0)
    place.control.broken = ""
    await place.follower.look()
    assert place.stands() == (0, 1)


async def test_a_log_that_was_made_anew_is_not_followed(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """G1: what was read says nothing of it; a rebuild begins at its beginning."""
    place = await here()
    place.attempt(intent("a"))
    monkeypatch.setattr(follow, "ends_of", lambda *_: place.ends()._replace(attempts_id="other"))
    await place.follower.look()
    assert (place.stands(), place.dedup.claims) == ((0, 0), {})


async def test_a_set_that_is_not_whole_is_looked_at_again(here: Any) -> None:
    """Nobody waits for who follows, and nothing ends it."""
    place = await here()
    await place.dedup.unset_whole()
    running = asyncio.create_task(place.follower.run())
    while place.clock.s < 1100.0:
        await asyncio.sleep(0)
    assert not running.done()
    running.cancel()


# ---- what dead processes left ----


async def settled(place: Any) -> list[Produced]:
    """What is told once the processes are silent: they were known by then."""
    await place.follower.look()
    assert place.written == []
    place.silence()
    await place.follower.look()
    return list(place.written)


async def test_what_nobody_called_for_is_withdrawn(here: Any) -> None:
    """G4: as it stands in the topic, in the intent's own partition."""
    place = await here()
    place.attempt(intent("a"))
    (told,) = await settled(place)
    assert (told.topic, told.partition, told.key) == (place.settings.topics.attempts, 0, RAW)
    assert decode_attempt(told.value or b"") == replace(intent("a"), withdrawn=True)


@pytest.mark.parametrize("process", ["me", ""])
async def test_ones_own_and_what_0_1_left_are_left_alone(here: Any, process: str) -> None:
    """G1: 0.1 told nobody of its life; one's own are withdrawn by who holds them."""
    place = await here()
    place.attempt(intent("a", process))
    assert await settled(place) == []


async def test_who_was_heard_since_is_left_alone(here: Any) -> None:
    place = await here()
    place.attempt(intent("a"))
    await place.follower.look()
    place.control.take(ControlRecord(1, "process", "dead", Heartbeat(process="dead", beat=1)), place.clock.s + 5)
    place.silence()
    await place.follower.look()
    assert place.written == []


@pytest.mark.parametrize(("claim", "outcome"), [("Sm1:f", Outcome.SENT), ("Ua", Outcome.UNCERTAIN), ("Aa:1", None)])
async def test_what_the_set_alone_knows_is_told(here: Any, claim: str, outcome: Outcome | None) -> None:
    """G2: and the set forgets what the ledger holds; a claim that has not expired is waited for."""
    place = await here()
    place.attempt(intent("a"))
    place.dedup.claims[KEY] = parse_claim(claim) if outcome else Claim(State.SENDING, attempt="a", since_ms=90_000)
    told = await settled(place)
    if outcome is None:
        assert told == []
        return
    (one,) = told
    delivery = decode_delivery(one.value or b"")
    assert (one.topic, delivery.outcome, delivery.source) == (place.settings.topics.deliveries, outcome, SOURCE)
    assert place.dedup.claims[KEY].state in {State.SENT_RECORDED, State.UNCERTAIN_RECORDED}


async def test_an_expired_claim_is_doubt(here: Any) -> None:
    place = await here()
    place.attempt(intent("a"))
    place.dedup.claims[KEY] = Claim(State.SENDING, attempt="a", since_ms=1)
    (one,) = await settled(place)
    assert decode_delivery(one.value or b"").outcome is Outcome.UNCERTAIN


async def test_what_was_compacted_away_is_forgotten(here: Any) -> None:
    """A rebuild would not find it either, and the checkpoint moves on."""
    place = await here()
    place.attempt(intent("a"))
    await place.follower.look()
    place.silence()
    place.topics[place.settings.topics.attempts][0] = None
    await place.follower.look()
    assert place.written == []
    place.topics[place.settings.topics.deliveries].append(b"junk")
    await place.follower.look()
    assert place.stands() == (1, 1)


async def test_under_a_newer_lineage_nothing_is_withdrawn(here: Any) -> None:
    """G1: the set that was asked may be another than the one that was claimed in."""
    place = await here()
    place.attempt(intent("a"))
    await place.follower.look()
    place.silence()
    window, moves = place.follower._window, place.follower._moves
    place.control.take(ControlRecord(1, "lineage", "l2", Lineage(id="l2", server="s", instance="i")), 0.0)
    with pytest.raises(NotWhole, match="newer lineage"):
        await place.follower._withdrawals.look(window, moves, "l1")
    with pytest.raises(NotWhole):
        await place.follower._withdrawals.look(window, moves, "l2")
    assert place.written == []


async def test_who_does_not_move_the_checkpoint_withdraws_nothing(here: Any) -> None:
    place = await here()
    place.attempt(intent("a"))
    await place.follower.look()
    place.silence()
    window = place.follower._window
    with pytest.raises(NotWhole, match="another process follows"):
        await place.follower._withdrawals.look(window, 7, "l1")
