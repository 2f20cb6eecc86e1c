"""Batches that no client can take apart, by a scripted consumer: who looks past them, and who waits."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from schemas.kafka import reading, unreadable
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings, load_settings
from tests.unit.test_reading import Message, Script


class Partition(Script):
    """A partition of `end` offsets; those of `batch` stand in one that cannot be read."""

    def __init__(self, end: int, batch: range) -> None:
        super().__init__(end=end)
        self._batch = batch
        self._at = 0
        self.sought: list[int] = []

    def assign(self, places: list[Any]) -> None:
        self._at = places[0].offset

    def seek(self, place: Any) -> None:
        self.sought.append(place.offset)
        self._at = place.offset

    def get_watermark_offsets(self, _place: Any, _timeout: float) -> tuple[int, int]:
        return 0, self._end

    def poll(self, _timeout: float) -> Message | None:
        if self._at in self._batch:
            return Message(KafkaError._BAD_COMPRESSION, offset=self._batch.start)
        if self._at >= self._end:
            return Message(KafkaError._PARTITION_EOF, offset=self._end)
        self._at += 1
        return Message(offset=self._at - 1)


@pytest.fixture
def settings() -> Settings:
    return load_settings()


def use(monkeypatch: pytest.MonkeyPatch, end: int, batch: range) -> Partition:
    script = Partition(end, batch)
    monkeypatch.setattr(reading, "Consumer", script)
    monkeypatch.setattr(reading, "AdminClient", script)
    # Each who looks behind a place has a consumer of its own.
    monkeypatch.setattr(unreadable, "Consumer", lambda _config: Partition(end, batch))
    return script


@pytest.mark.parametrize(("batch", "read"), [(range(3, 40), 53), (range(50, 90), 50), (range(1), 89)])
def test_who_looks_at_jobs_looks_past_them(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, batch: range, read: int
) -> None:
    """A status of what can be read is more than none; where it ends does not matter."""
    script = use(monkeypatch, 90, batch)
    found = [record.offset for record in reading.read_topic(settings, settings.topics.jobs, [0])]
    assert found == [offset for offset in range(90) if offset not in batch]
    assert len(found) == read
    assert script.sought == [batch.stop]


def test_what_the_ledger_holds_must_be_known_whole(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """G1: a mail whose outcome was passed over would go out twice."""
    use(monkeypatch, 90, range(3, 40))
    with pytest.raises(BrokerUnavailable, match="compressed"):
        list(reading.read_topic(settings, settings.topics.deliveries, [0]))


def test_a_place_says_to_which_batch_it_belongs(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    use(monkeypatch, 90, range(3, 40))
    begins = [unreadable.unreadable_at(settings, "t", 0, offset) for offset in (2, 3, 39, 40)]
    assert begins == [None, 3, 3, None]
    assert unreadable.next_readable(settings, "t", 0, 3) == 40


def test_kafka_that_does_not_answer_is_no_readable_place(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """G2: nothing is passed over for want of an answer."""
    monkeypatch.setattr(unreadable, "TIMEOUT_S", 0.01)
    silent = Script(None, Message(KafkaError._TRANSPORT))
    monkeypatch.setattr(unreadable, "Consumer", silent)
    with pytest.raises(BrokerUnavailable, match="0:3"):
        unreadable.unreadable_at(settings, "t", 0, 3)

    def fail(*_: Any) -> None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    monkeypatch.setattr(silent, "get_watermark_offsets", fail, raising=False)
    with pytest.raises(BrokerUnavailable, match="behind t 0:3"):
        unreadable.next_readable(settings, "t", 0, 3)
