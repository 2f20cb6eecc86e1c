"""A topic followed as values: read only when somebody asks, and then what came since."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from schemas.codec import decode_dead_letter
from schemas.kafka.reading import Follower, Record
from schemas.records import DeadLetter
from schemas.runtime.errors import BadRecord
from schemas.runtime.settings import Settings

__all__ = ["Followed", "followed_letters"]

T = TypeVar("T")


class Followed(Generic[T]):
    """The values of a topic's records; a record that cannot be read as one is passed over.

    Args:
        topic: followed from its beginning, or `starts`.
        decode: raises `BadRecord`.
        starts: partition: the first offset that is read.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        decode: Callable[[Record], T],
        starts: Mapping[int, int] | None = None,
    ) -> None:
        self._follower = Follower(settings, topic, starts)
        self._decode = decode

    def news(self) -> Iterator[tuple[Record, T]]:
        """What came since the last call, to the end as of now. Raises `BrokerUnavailable`."""
        for record in self._follower.news():
            try:
                value = self._decode(record)
            except BadRecord:
                continue
            yield record, value


def followed_letters(settings: Settings) -> Followed[DeadLetter]:
    """The dead letters."""
    return Followed(settings, settings.topics.dead_letters, lambda record: decode_dead_letter(record.headers))
