"""Whether the jobs topic is still the one that this processor began with.

A topic that was deleted and made anew has the same name, and a consumer of the old one may read on in it as if nothing
had happened, at offsets that mean other records.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, TopicDescription  # type: ignore[attr-defined]

from processor.core.resume import replaced
from schemas.kafka.asking import answer
from schemas.runtime.errors import TopicReplaced

__all__ = ["TopicIdentity"]

EVERY_S = 5.0
ANSWER_WITHIN_S = 5.0


class TopicIdentity:
    """Asks for the topic's id now and then; used by one thread, which does not wait for the answers.

    Args:
        admin: asks.
        topic: the jobs topic.
        clock: seconds that only grow.
    """

    def __init__(self, admin: AdminClient, topic: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._admin = admin
        self._topic = topic
        self._clock = clock
        self._asked_s = clock()
        self._asking: Future[TopicDescription] | None = None
        self.id = ""
        """Empty until a broker has told it."""

    def look(self) -> None:
        """Takes an answer that has come, asks again when it is time. Raises `TopicReplaced`."""
        asking, now_s = self._asking, self._clock()
        if asking is not None and asking.done():
            self._asking = None
            self._hold(asking)
        elif asking is None and now_s - self._asked_s >= EVERY_S:
            self._asked_s, self._asking = now_s, self.ask()

    def check(self) -> None:
        """Asks and waits for the answer. Raises `TopicReplaced`."""
        self._hold(self.ask())

    def ask(self, within_s: float = ANSWER_WITHIN_S) -> Future[TopicDescription]:
        """A question that any broker answers, whoever only wants to know whether one does.

        Not for the cluster: `describe_cluster` aborts the process when every broker is fenced, as after all of them
        stood still (`rdkafka_admin.c`: an answer without brokers and topics fails the assertion ``rko_result``).
        """
        asked = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=within_s)
        future: Future[TopicDescription] = asked[self._topic]
        return future

    def _hold(self, asked: Future[TopicDescription]) -> None:
        """Holds the answer against the id that is known; that there is none is for others to notice."""
        try:
            found = answer(asked).topic_id
        except KafkaException:
            return
        told = str(found) if found is not None else ""
        if replaced(self.id, told):
            raise TopicReplaced(self._topic)
        self.id = self.id or told
