"""Whether Kafka is still there while nothing comes from it: a poll of a client whose brokers are gone brings no error.

A quiet topic and a frozen or vanished broker look alike to a consumer. So after some silence the cluster is asked
something; a restart of a broker is over before the patience is, and its first answer ends the silence.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException

from schemas.kafka.asking import error_text
from schemas.runtime.errors import BrokerUnavailable

__all__ = ["ASKS", "Silence"]

ASKS = 3
"""How often the cluster may leave a question unanswered within the patience, the silence before the first included."""
ASK_MIN_S = 1.0


class Silence:
    """The time since Kafka was last heard, and the question that is under way."""

    def __init__(
        self, ask: Callable[[float], Future[Any]], patience_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            ask: asks the cluster anything, with a time-out in seconds.
            patience_s: how long Kafka may be silent and leave questions unanswered.
            clock: seconds.
        """
        self._ask = ask
        self._patience_s = patience_s
        self._wait_s = max(ASK_MIN_S, patience_s / ASKS)
        self._clock = clock
        self._heard_s = clock()
        self._asked: Future[Any] | None = None

    def heard(self) -> None:
        """Kafka said something."""
        self._heard_s = self._clock()

    def look(self) -> None:
        """After a poll that brought nothing; never waits. Raises `BrokerUnavailable` at the end of the patience."""
        silent_s = self._clock() - self._heard_s
        if self._asked is None:
            if silent_s >= self._wait_s:
                self._asked = self._ask(self._wait_s)
            return
        if not self._asked.done():
            return
        asked, self._asked = self._asked, None
        try:
            asked.result()
        except KafkaException as error:
            if silent_s >= self._patience_s:
                raise BrokerUnavailable(f"Kafka has not answered for {silent_s:.0f} s: {error_text(error)}") from error
        else:
            self.heard()
