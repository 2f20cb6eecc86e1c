"""The jobs topic, what is written to it and read from it, and the transactions over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from processor.core.newest import Look
from processor.core.standing import Entry
from schemas.kafka.reading import Record

__all__ = ["BY_KEY", "JobLog", "Letters", "Listener", "Outcomes", "Poll", "Produced", "Scanned", "Transaction"]


BY_KEY = -1
"""The partition that follows from a record's key."""


class Produced(msgspec.Struct, frozen=True, gc=False):
    """A record to write, to the same partition as its job."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = msgspec.field(default_factory=list)
    timestamp_ms: int = 0
    """of a record that is written anew; 0: now. Transactions write what is new."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What becomes visible together or not at all."""

    records: list[Produced]
    offsets: dict[int, tuple[int, str]]
    """partition: (offset to commit, metadata)"""
    facts: bool = False
    """Whether these are facts, true whoever has the records' partitions now; then there are no offsets."""


@dataclass(frozen=True, slots=True)
class Poll:
    """What one poll brought: records, and partitions whose end was reached (with the end's offset)."""

    records: list[Record]
    ends: dict[int, int]
    unreadable: dict[int, int] = field(default_factory=dict)
    """Partitions that stand still before a batch that cannot be read (with its first offset)."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one look beside the ordinary reader brought."""

    records: list[Record]
    """in the order of their partitions; those whose keys may have come before"""
    positions: dict[int, int]
    """how far partitions are read now; those without news may be left out"""


class Listener(Protocol):
    """Who is told of rebalances, on the event loop, while the poll that found them waits."""

    async def assigned(self, committed: dict[int, tuple[int, str]]) -> None:
        """Partitions came, with committed offset (0 or more) and metadata."""
        ...

    async def revoked(self, partitions: frozenset[int]) -> Transaction | None:
        """Partitions must go: ends their calls and returns what to commit before they do."""
        ...

    async def settled(self, transaction: Transaction) -> None:
        """The transaction that `revoked` returned has committed."""
        ...

    async def lost(self, partitions: frozenset[int]) -> None:
        """Partitions are gone already: everything of them is forgotten."""
        ...


class Letters(Protocol):
    """The dead letters that are written."""

    async def told(self, records: Sequence[Record]) -> set[tuple[int, int]]:
        """Places of those among these records of the jobs topic that have a letter, or are so old that theirs may be
        gone. Raises `BrokerUnavailable`."""
        ...


class Outcomes(Protocol):
    """What the ledger says of keys whose months are closed for good: the dedup set knows nothing of them."""

    async def of(self, records: Sequence[Record]) -> list[Entry | None]:
        """For each of these records of the jobs topic, what the ledger says of its key now, if anything.

        Of a key that was sent no more than that; a record so old that its outcome may be gone counts as if it were.
        Raises `BrokerUnavailable`.
        """
        ...


class JobLog(Protocol):
    """The jobs topic and the transactions over it.

    Laws: `commit` makes all of a transaction visible or raises; after `TransactionAborted` nothing of it is visible;
    after `TransactionUnknown` nobody knows, and only `renew` may follow. A transaction that holds records or offsets of
    a partition that is not assigned at that moment is aborted whole, unless it holds facts. Raises `Fenced` when
    another instance took over.
    """

    async def start(self, listener: Listener) -> None: ...

    async def poll(self, records_max: int, timeout_s: float, paused: frozenset[int]) -> Poll:
        """Up to `records_max` records, none of `paused` partitions; rebalances are handled inside."""
        ...

    async def commit(self, transaction: Transaction) -> None: ...

    async def renew(self) -> dict[int, tuple[int, str]]:
        """New producer, old transaction ended; reading starts again at the committed offsets, which are returned."""
        ...

    async def unsettled(self, targets: Mapping[int, int], mine: frozenset[int]) -> bool:
        """Whether another member's partition has not been committed up to its target yet."""
        ...

    async def ends(self) -> dict[int, int]:
        """The end offset of every partition of the jobs topic, now; open transactions included."""
        ...

    async def scan(self, looks: Mapping[int, Look], timeout_s: float) -> Scanned:
        """Reads partitions on, beside the ordinary reader and whatever is assigned.

        Laws: brings every committed record whose key is in the look's sieve, in order, and notes each key there; a
        position is never beyond what was read. Waits at most `timeout_s` for news. A batch that cannot be read is
        passed over, and a partition that cannot be read on holds up no other. Only one scan at a time. Raises
        `BrokerUnavailable`.
        """
        ...

    async def stop(self) -> None: ...
