"""One line of a kind a minute from aiokafka, which says the same ten times a second while Kafka is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

__all__ = ["Sparse"]

EVERY_S = 60.0


class Sparse(logging.Filter):
    """Lets a library's message pass once in a while; the words count, not what is filled in."""

    def __init__(self, library: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._library = library
        self._clock = clock
        self._said_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] != self._library:
            return True
        words, now = str(record.msg), self._clock()
        if now - self._said_s.get(words, -EVERY_S) < EVERY_S:
            return False
        self._said_s[words] = now
        return True
