"""Whether the jobs topic is still the one that a processor began with: asked now and then, and waited for by nobody."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from processor.adapters.topic_identity import EVERY_S, TopicIdentity
from schemas.runtime.errors import TopicReplaced


class Admin:
    """Its answers come when the test gives them."""

    def __init__(self) -> None:
        self.asked: list[Future[Any]] = []

    def describe_topics(self, _topics: Any, **_how: Any) -> dict[str, Future[Any]]:
        self.asked.append(Future())
        return {"jobs": self.asked[-1]}

    def answer(self, topic_id: str | None) -> None:
        self.asked[-1].set_result(SimpleNamespace(topic_id=topic_id))


class Asked:
    def __init__(self) -> None:
        self.admin, self.now_s = Admin(), 0.0
        self.identity = TopicIdentity(self.admin, "jobs", lambda: self.now_s)  # type: ignore[arg-type]

    def look(self, topic_id: str | None) -> None:
        """One question and its answer."""
        self.now_s += EVERY_S
        self.identity.look()
        self.admin.answer(topic_id)
        self.identity.look()


def test_a_look_waits_for_no_answer() -> None:
    """Kafka's thread polls meanwhile, and asks no second time."""
    asked = Asked()
    asked.identity.look()
    assert not asked.admin.asked, "it is not time yet"
    asked.now_s += EVERY_S
    for _ in range(3):
        asked.identity.look()
    assert len(asked.admin.asked) == 1


def test_another_id_is_refused() -> None:
    """G2: its message says what to do, its code is 7."""
    asked = Asked()
    asked.look("A")
    asked.look("A")
    assert asked.identity.id == "A"
    with pytest.raises(TopicReplaced, match="start them again") as refused:
        asked.look("B")
    assert refused.value.exit_code == 7


def test_no_answer_and_no_id_are_no_other_topic() -> None:
    """A broker that is away, or tells no ids, stops nobody here."""
    asked = Asked()
    asked.look(None)
    assert asked.identity.id == ""
    asked.look("A")
    asked.now_s += EVERY_S
    asked.identity.look()
    asked.admin.asked[-1].set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
    asked.identity.look()
    asked.look(None)
    assert asked.identity.id == "A"
