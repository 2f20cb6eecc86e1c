"""A key whose records stand in two partitions, because partitions were added while its month ran: everybody who looks at it
tells the same, whichever partition is read first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from processor.adapters import months
from processor.core.control import Control
from processor.core.outcomes import Mail
from processor.core.states import Claim, State, parse_claim
from processor.dashboard.view import View, apply
from processor.ops import balance, dedup, forget, missing, status, uncertain
from processor.recovery import rebuild
from schemas.codec import encode
from schemas.identity import Key
from schemas.kafka import reading
from schemas.kafka.reading import Record
from schemas.records import Attempt, Delivery, Outcome, Source
from schemas.runtime.settings import Settings, load_settings
from tests.simulation.dedup import MemoryDedup
from tests.support.world import job

MONTH = "2026-11"
KEY = Key("u1", MONTH)
RAW = KEY.to_bytes()
FIRST, SECOND = Source("email-jobs", 0, 3, 30), Source("email-jobs", 1, 1, 90)
DOUBT = Delivery(outcome=Outcome.UNCERTAIN, at_ms=100, source=FIRST, instance="p", attempt="a", detail="to x@y.de")
RESOLVED = msgspec.structs.replace(DOUBT, outcome=Outcome.SENT, at_ms=200, reason="operator", by="ann")
DECIDED = msgspec.structs.replace(DOUBT, outcome=Outcome.DEAD, at_ms=200, reason="operator", by="ann", held=True)


class Topics:
    """What stands where, and which partition is read first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, order: tuple[int, int]) -> None:
        self.settings: Settings = load_settings()
        self._order = order
        self._records: dict[tuple[str, int], list[Record]] = {}
        monkeypatch.setattr(months, "read_control", lambda _settings: Control())
        for module in (balance, forget, months, rebuild, reading, status, uncertain):
            for name in ("read_topic", "partition_numbers"):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, getattr(self, name))
        monkeypatch.setattr(forget, "letters_of", lambda *_: {})

    def put(self, topic: str, partition: int, value: msgspec.Struct | None, at_ms: int = 0, offset: int = -1) -> None:
        records = self._records.setdefault((topic, partition), [])
        raw = encode(value) if value is not None else None
        records.append(Record(partition, offset if offset >= 0 else len(records), RAW, raw, [], at_ms))

    def read_topic(
        self, settings: Any, topic: str, partitions: list[int] | None = None, starts: Any = None
    ) -> Iterator[Record]:
        for partition in self._order if partitions is None else partitions:
            since = (starts or {}).get(partition, 0)
            yield from (one for one in self._records.get((topic, partition), ()) if one.offset >= since)

    def partition_numbers(self, settings: Any, topic: str) -> list[int]:
        return list(self._order)

    def mail_of(self) -> Mail:
        view = status.MonthView(self.settings, MONTH)
        view.refresh()
        return view.mails[RAW]

    def view(self) -> View:
        view = None
        for kind in ("jobs", "deliveries"):
            for record in [*self.read_topic(None, f"email-{kind}"), *self.read_topic(None, f"email-{kind}")]:
                view = apply(view, kind, record)
        assert view is not None
        return view


@pytest.fixture(
    params=[(0, 1), (1, 0)], ids=["the first partition is read first", "the second partition is read first"]
)
def topics(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Topics:
    """A job in each partition."""
    made = Topics(monkeypatch, request.param)
    for source in (FIRST, SECOND):
        made.put("email-jobs", source.partition, job("u1"), source.timestamp_ms, source.offset)
    return made


async def told_everywhere(topics: Topics) -> set[str]:
    """What status, missing, show and the dashboard say of the mail."""
    story = await status.tell_story(topics.settings, MemoryDedup(1, lambda: 0), KEY)  # type: ignore[arg-type]
    found = {topics.mail_of().standing, topics.view().mail.standing, story.outcome}
    why = [one.why for one in missing.find_missing(topics.settings, MONTH, [(1, "u1")])]
    return found | set(why or ["sent"])


async def test_a_doubt_that_a_person_resolved_elsewhere(topics: Topics) -> None:
    """G2: the resolution goes to the key's partition of today, the doubt stands where its job does."""
    topics.put("email-deliveries", 0, DOUBT)
    assert await told_everywhere(topics) == {"uncertain"}
    assert [doubt.attempt for doubt in uncertain.uncertain_of(topics.settings, MONTH)] == ["a"]
    assert sorted(forget.find(topics.settings, "u1").uncertain) == [RAW]
    topics.put("email-deliveries", 1, RESOLVED)
    assert await told_everywhere(topics) == {"sent"}
    assert list(uncertain.uncertain_of(topics.settings, MONTH, decided=True)) == []


async def test_a_doubt_that_a_person_declared_dead_elsewhere(topics: Topics) -> None:
    """It is decided, and no longer listed; only a resend calls again."""
    topics.put("email-deliveries", 1, DECIDED)
    topics.put("email-deliveries", 0, DOUBT)
    assert await told_everywhere(topics) == {"dead"}
    assert list(uncertain.uncertain_of(topics.settings, MONTH)) == []
    (doubt,) = uncertain.uncertain_of(topics.settings, MONTH, decided=True)
    assert (doubt.delivery.held, doubt.attempt) == (True, "a")
    assert [parse_claim(known.claim) for known in rebuild.claims_from_topics(topics.settings)] == [
        Claim(State.UNCERTAIN_RECORDED, attempt="a")
    ]


async def test_the_later_record_counts(topics: Topics) -> None:
    """G2: the older one's end leaves the newer one pending, and a drain says so."""
    dead = Delivery(outcome=Outcome.DEAD, at_ms=100, source=FIRST, instance="p", reason="r")
    topics.put("email-deliveries", 0, dead)
    assert await told_everywhere(topics) == {"pending"}
    with pytest.raises(balance.OutcomesMissing):
        balance.compare(topics.settings, {0: 9, 1: 9}, MONTH)
    topics.put("email-deliveries", 1, msgspec.structs.replace(dead, source=SECOND))
    assert await told_everywhere(topics) == {"dead"}
    assert balance.compare(topics.settings, {0: 9, 1: 9}, MONTH) > 0


async def test_verify_knows_each_key_once(topics: Topics) -> None:
    """G1: what bars the key in one partition is not lowered by the other's intent."""
    topics.put("email-deliveries", 0, DOUBT)
    intent = Attempt(attempt="b", intended_at_ms=1, instance="p", source=SECOND, fingerprint="f")
    topics.put("email-attempts", 1, intent)
    twin = MemoryDedup(1, lambda: 0)
    twin.mark()
    for claim, finding in (
        (Claim(State.UNCERTAIN_RECORDED, attempt="a"), dedup.Finding.EQUAL),
        (Claim(State.CLOSED, partition=1, offset=0), dedup.Finding.LOWER),
    ):
        await twin.poke(KEY, claim)
        found = await dedup.verify(topics.settings, twin, lambda _progress: None)  # type: ignore[arg-type]
        assert found.counts == {finding: 1}


def test_who_is_forgotten_needs_no_doubt_that_has_ended(topics: Topics) -> None:
    """Once no job is left; and a sentence with an address goes from both partitions."""
    topics.put("email-deliveries", 0, DOUBT)
    topics.put("email-deliveries", 1, RESOLVED)
    trace = forget.find(topics.settings, "u1")
    assert (trace.uncertain, sorted(trace.told), trace.removable) == (set(), [(0, RAW), (1, RAW)], set())
    trace.held.clear()
    assert trace.removable == {RAW}
