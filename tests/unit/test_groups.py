"""Groups are asked of a coordinator, which a new cluster does not have yet and a restarted one has elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from processor.ops import groups, replay
from processor.ops.groups import members
from processor.ops.replay import drop_group, set_group
from schemas.kafka import asking
from schemas.kafka.asking import answer, error_text
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import load_settings

PASSING = [KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS]
EMPTY = "ConsumerGroupDescribe: "
"""All that librdkafka says of such an answer."""


class Coordinator:
    """What it answers to one question after another; the last answer stays."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.asked = 0

    def _next(self, name: str) -> dict[str, Future[Any]]:
        self.asked += 1
        found: Future[Any] = Future()
        said = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(said, int):
            found.set_exception(KafkaException(KafkaError(said, EMPTY)))
        else:
            found.set_result(said)
        return {name: found}

    def describe_consumer_groups(self, names: list[str], **_: Any) -> dict[str, Future[Any]]:
        return self._next(names[0])

    def delete_consumer_groups(self, names: list[str], **_: Any) -> dict[str, Future[Any]]:
        return self._next(names[0])

    def alter_consumer_group_offsets(self, asked: list[Any], **_: Any) -> dict[str, Future[Any]]:
        return self._next(asked[0].group_id)


@pytest.fixture
def coordinator(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Coordinator]:
    monkeypatch.setattr(asking, "AGAIN_S", 0.001)

    def made(*answers: object) -> Coordinator:
        one = Coordinator(*answers)
        for module in (groups, replay):
            monkeypatch.setattr(module, "AdminClient", lambda _: one, raising=False)
        return one

    return made


NOBODY = SimpleNamespace(members=[])


def test_a_coordinator_that_is_not_there_yet_is_asked_again(coordinator: Callable[..., Coordinator]) -> None:
    """Each of the three questions, for each of the three reasons; the answers of partitions too."""
    settings = load_settings()
    one = coordinator(*PASSING, NOBODY)
    assert members(settings, "g", 60) == []
    assert one.asked == 4
    one = coordinator(*PASSING, None)
    drop_group(settings, "g")
    assert one.asked == 4
    late = SimpleNamespace(error=KafkaError(KafkaError.NOT_COORDINATOR))
    done = SimpleNamespace(topic_partitions=[TopicPartition(settings.topics.jobs, 0)])
    one = coordinator(NOBODY, *PASSING, SimpleNamespace(topic_partitions=[late]), done)
    set_group(settings, "g", {0: 5})
    assert one.asked == 6


def test_one_that_stays_away_is_named(coordinator: Callable[..., Coordinator]) -> None:
    """With what Kafka's code says where librdkafka's sentence says nothing."""
    coordinator(KafkaError.COORDINATOR_NOT_AVAILABLE)
    with pytest.raises(BrokerUnavailable, match="group g could not be looked at: .*Coordinator not available"):
        members(load_settings(), "g", 0.05)


def test_what_will_not_pass_is_told_at_once(coordinator: Callable[..., Coordinator]) -> None:
    one = coordinator(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(BrokerUnavailable, match="authorization failed"):
        members(load_settings(), "g", 60)
    assert one.asked == 1
    coordinator(KafkaError.GROUP_ID_NOT_FOUND)
    assert members(load_settings(), "g", 60) == []


def test_an_error_without_a_sentence_has_its_codes() -> None:
    """A sentence that says something is left alone."""
    assert (
        error_text(KafkaException(KafkaError(15, EMPTY))) == "ConsumerGroupDescribe: Broker: Coordinator not available"
    )
    assert error_text(KafkaException(KafkaError(15, ""))) == "Broker: Coordinator not available"
    assert error_text(KafkaException(KafkaError(15))) == "Broker: Coordinator not available"
    assert error_text(KafkaException(KafkaError(15, "gone: to lunch"))) == "gone: to lunch"


def test_silence_is_an_error_of_kafkas(monkeypatch: pytest.MonkeyPatch) -> None:
    """An `OSError` would pass everybody who waits for Kafka's."""
    monkeypatch.setattr(asking, "TIMEOUT_S", 0.01)
    with pytest.raises(KafkaException, match="_TIMED_OUT"):
        answer(Future())
