"""Places of the jobs topic that cannot be read, and which of them may be passed over.

Nobody passes over records by himself: they may be jobs. An operator decides (`mailonce topics skip`), and the decision
is the place's dead letter; every processor and replay that comes there looks for it.
"""

from __future__ import annotations

import time

from processor.adapters.followed import followed_letters
from schemas.kafka.unreadable import next_readable
from schemas.records import UNREADABLE_REASON
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["Unreadable", "advice"]

log = get_log()

LOOK_EVERY_S = 5.0
SAY_EVERY_S = 60.0


def advice(topic: str, partition: int, offset: int) -> str:
    """What is wrong, and what an operator can do about it."""
    return (
        f"{topic} cannot be read at {partition}:{offset}: MAILONCE_KAFKA_RECEIVE_MESSAGE_MAX_BYTES may be too small "
        f"for it, or it is damaged; `mailonce topics skip {partition}:{offset}` passes over it"
    )


class Unreadable:
    """What one processor met, and what was decided."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topics.jobs
        self._letters = followed_letters(settings)
        self._decided: set[tuple[int, int]] = set()
        self._looked_s = float("-inf")
        self._said_s: dict[tuple[int, int], float] = {}

    def met(self, partition: int, offset: int, error: str) -> int | None:
        """A batch that begins there cannot be read: where to go on, or none while nobody has decided."""
        place, now_s = (partition, offset), time.monotonic()
        if place not in self._decided and now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            self._look()
        if place in self._decided:
            try:
                go_on = next_readable(self._settings, self._topic, partition, offset)
            except BrokerUnavailable:
                return None
            log.warning(Event.UNREADABLE, topic=self._topic, place=f"{partition}:{offset}", follows=f"on at {go_on}")
            return go_on
        if now_s - self._said_s.get(place, float("-inf")) >= SAY_EVERY_S:
            self._said_s[place] = now_s
            where = {"topic": self._topic, "partition": partition, "offset": offset}
            log.error(Event.UNREADABLE, **where, error=error, follows=advice(self._topic, partition, offset))
        return None

    def _look(self) -> None:
        try:
            for _, letter in self._letters.news():
                if letter.reason == UNREADABLE_REASON:
                    self._decided.add((letter.source.partition, letter.source.offset))
        except BrokerUnavailable as error:
            log.warning(Event.KAFKA, error=str(error))
