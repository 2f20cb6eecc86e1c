"""Whether Kafka answers, asked every few seconds beside the work.

A client that waits for a dead or frozen broker looks exactly like one on an idle topic, so nothing inside a process
knows that its Kafka is gone. Readiness must not be guessed from silence: it is asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.kafka.asking import no_answer
from schemas.kafka.clients import admin_config
from schemas.runtime.errors import MailonceError
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["KafkaWatch", "asks_kafka", "kafka_watched"]

log = get_log()

EVERY_S = 2.0
ANSWER_WITHIN_S = 3.0
JOIN_S = 0.5
STALE_S = 15.0
"""An answer older than this is none: the thread itself may hang."""


class KafkaWatch:
    """Remembers the last answer. `probe` asks once and returns what is wrong, or ``None``.

    Args:
        probe: raises `MailonceError` when Kafka does not answer.
        clock: seconds that only grow.
        again: called when Kafka answers after it did not.
    """

    def __init__(
        self,
        probe: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        again: Callable[[], object] = lambda: None,
    ) -> None:
        self._probe = probe
        self._clock = clock
        self._again = again
        self._asked_s = clock()
        self._trouble: str | None = None

    def look(self) -> None:
        """Asks once. What changed is logged; that nothing changed is no news."""
        before = self._trouble
        try:
            self._probe()
            self._trouble = None
        except MailonceError as error:
            self._trouble = str(error)
        self._asked_s = self._clock()
        if self._trouble and not before:
            log.warning(Event.KAFKA_SILENT, error=self._trouble)
        elif before and not self._trouble:
            log.info(Event.KAFKA_AGAIN)
            self._again()

    def why_not_ready(self) -> str | None:
        """What Kafka's last answer was, or that there is none."""
        silent_s = self._clock() - self._asked_s
        return self._trouble or (f"Kafka was last asked {silent_s:.0f} s ago" if silent_s > STALE_S else None)


def asks_kafka(settings: Settings) -> Callable[[], None]:
    """A probe: the jobs topic's metadata, fresh from a broker, over one connection that is kept."""
    admin = AdminClient(admin_config(settings))

    def probe() -> None:
        try:
            admin.list_topics(settings.topics.jobs, timeout=ANSWER_WITHIN_S)
        except KafkaException as error:
            raise no_answer(admin, settings, error) from error

    return probe


@contextmanager
def kafka_watched(
    settings: Settings, again: Callable[[], object] = lambda: None, *, served: bool = True
) -> Iterator[KafkaWatch]:
    """Asks on a thread of its own while the block runs; `again` is called there.

    Args:
        settings: which Kafka.
        again: see `KafkaWatch`.
        served: whether anybody can ask; otherwise it does not ask either.
    """
    if not served:
        yield KafkaWatch(lambda: None)
        return
    watch = KafkaWatch(asks_kafka(settings), again=again)
    stopping = threading.Event()

    def run() -> None:
        while not stopping.wait(EVERY_S):
            watch.look()

    thread = threading.Thread(target=run, name="kafka watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stopping.set()
        # An unanswered question is not waited for: a stop must not take as long, and the thread keeps nothing alive.
        thread.join(JOIN_S)
