"""Where ledger and attempts end: in which order that is asked, and when it is looked whether a log was cut."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from processor.adapters import ends
from processor.core.checkpoint import NOTHING, Checkpoint, End, Place, Topic
from schemas.kafka.ends import Tail
from schemas.runtime.settings import Settings, load_settings


@pytest.fixture
def settings() -> Settings:
    return load_settings(topic_prefix="t-", _env_file=None)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Both topics have one partition of 10 records, led under epoch 3; the last record of before is of epoch 2."""
    told: list[Any] = []

    def describe(_admin: Any, names: list[str]) -> dict[str, Any]:
        return {name: SimpleNamespace(partitions=[SimpleNamespace(id=0)], topic_id=f"{name}#") for name in names}

    def tails(_admin: Any, topic: str, partitions: list[int]) -> dict[int, Tail]:
        told.append(topic)
        return {number: Tail(10, 3) for number in partitions}

    def before(_settings: Settings, topic: str, partition: int, end: int) -> int:
        told.append((topic, partition, end))
        return 2

    monkeypatch.setattr(ends, "AdminClient", lambda _config: None)
    monkeypatch.setattr(ends, "describe", describe)
    monkeypatch.setattr(ends, "topic_id", lambda topic: topic.topic_id)
    monkeypatch.setattr(ends, "log_tails", tails)
    monkeypatch.setattr(ends, "epoch_before", before)
    return told


def test_the_ledger_is_asked_first(settings: Settings, asked: list[Any]) -> None:
    """G1: so every outcome before its end has its intent before that of the attempts."""
    found = ends.ends_of(settings, NOTHING)
    assert asked == [settings.topics.deliveries, settings.topics.attempts]
    assert (found.ledger_id, found.attempts_id) == ("t-deliveries#", "t-attempts#")
    assert (found.ledger, found.attempts) == ({0: End(10, 3)}, {0: End(10, 3)})


@pytest.mark.parametrize(
    ("place", "looked"),
    [
        (Place(7, 2), True),
        (Place(10, 0), True),
        (Place(7, 3), False),  # the same leader: nothing can have been cut
        (Place(7, -1), False),  # nobody knows the leader of then
        (Place(0, 2), False),  # nothing lies before it
        (Place(11, 2), False),  # beyond the end: that says enough
    ],
)
def test_who_wrote_before_the_place_is_looked_up_where_another_leads(
    settings: Settings, asked: list[Any], place: Place, looked: bool
) -> None:
    """G1: what a later leader wrote before the place was not read up to there."""
    found = ends.ends_of(settings, Checkpoint(attempts=Topic("", {0: place})))
    assert ((settings.topics.attempts, 0, place.offset) in asked) is looked
    assert found.attempts == {0: End(10, 3, 2 if looked else -1)}
    assert found.ledger == {0: End(10, 3)}
