"""Whose mails SES's events tell of: one queue may hold those of several installations.

Another installation's prove nothing here. They are counted and told of, and stay in the queue: whoever they belong to
may need them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

import msgspec

from processor.core.evidence import Owner, SesEvent, owner
from processor.core.standing import attempts_in
from schemas.codec import decode_attempt, decode_delivery
from schemas.control import Installation
from schemas.kafka.reading import Follower, Record
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import BadRecord
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["Attempts", "Origin", "Sorted"]

log = get_log()

SAY_EVERY_S = 60.0
SEEN_MAX = 100_000


class Attempts:
    """The attempts that intents and ledger name. Read only when somebody asks, and then what came since."""

    def __init__(self, settings: Settings) -> None:
        topics = settings.topics
        self._intents = Follower(settings, topics.attempts)
        self._ledger = Follower(settings, topics.deliveries)
        self._known: set[int] = set()
        """hashes of key and attempt: some 60 bytes an attempt, and only where somebody asks"""

    def known(self, wanted: Iterable[tuple[bytes, str]]) -> set[tuple[bytes, str]]:
        """Those of the (key, attempt) that stand there. Raises `BrokerUnavailable`."""
        for record in self._intents.news():
            self._note(record, lambda raw: decode_attempt(raw).attempt)
        for record in self._ledger.news():
            self._note(record, lambda raw: decode_delivery(raw).attempt or "")
        return {one for one in wanted if _name(*one) in self._known}

    def _note(self, record: Record, read: Callable[[bytes], str]) -> None:
        if record.key is None or record.value is None:
            return
        try:
            attempts = attempts_in(read(record.value))
        except BadRecord:
            return  # the rebuild tells of it
        self._known.update(_name(record.key, attempt) for attempt in attempts)


def _name(key: bytes, attempt: str) -> int:
    """Enough of a hash that nobody makes another attempt's."""
    return int.from_bytes(blake2b(key + b" " + attempt.encode(), digest_size=8).digest())


def _about(event: SesEvent) -> tuple[bytes, str]:
    return event.key.to_bytes(), event.attempt


class Sorted(msgspec.Struct):
    """Events by whose they are."""

    ours: list[SesEvent]
    others: list[SesEvent]
    news: bool
    """whether any of them is not another installation's that was seen before"""


class Origin:
    """Sorts events; counts and tells of another installation's, each once."""

    def __init__(
        self, installation: Installation, attempts: Attempts, counts: Counter[str], clock_s: Callable[[], float]
    ) -> None:
        self.installation = installation
        self._attempts = attempts
        self._counts = counts
        self._clock_s = clock_s
        self._seen: set[bytes] = set()
        self._said_s = float("-inf")
        self._unsaid = 0

    async def sort(self, events: Sequence[SesEvent]) -> Sorted:
        """Raises `BrokerUnavailable`."""
        owners = [owner(event, self.installation) for event in events]
        asked = [_about(e) for e, who in zip(events, owners, strict=True) if who is Owner.OURS_IF_INTENDED]
        known = await in_thread(self._attempts.known, asked) if asked else set()
        sort = Sorted([], [], news=False)
        for event, who in zip(events, owners, strict=True):
            intended = who is Owner.OURS_IF_INTENDED and _about(event) in known
            (sort.ours if who is Owner.OURS or intended else sort.others).append(event)
        fresh = [event for event in sort.others if self._is_fresh(event)]
        sort.news = bool(sort.ours or fresh)
        self._tell(fresh)
        return sort

    def _is_fresh(self, event: SesEvent) -> bool:
        """Whether it was not seen before: what stays in the queue comes again and again."""
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        name = blake2b(f"{event.installation}\n".encode() + event.body, digest_size=16).digest()
        fresh = name not in self._seen
        self._seen.add(name)
        return fresh

    def _tell(self, fresh: Sequence[SesEvent]) -> None:
        self._counts["foreign"] += len(fresh)
        self._unsaid += len(fresh)
        if self._unsaid and self._clock_s() - self._said_s >= SAY_EVERY_S:
            named = sorted({event.installation or "unnamed" for event in fresh})
            follows = "they prove nothing here and stay in the queue: give each installation a queue of its own"
            log.warning(Event.EVENTS_OF_OTHERS, count=self._unsaid, installations=named, follows=follows)
            self._said_s, self._unsaid = self._clock_s(), 0
