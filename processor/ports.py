"""The ports: what the protocol needs of the world, and the laws it relies on.

Each law is a case of a conformance suite that the real adapter and the in-memory twin both pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

from processor.core.answers import Answer
from processor.core.control import Control
from processor.core.newest import Look
from processor.core.pace import Account
from processor.core.standing import Entry
from processor.core.states import Claim
from processor.core.ticket import Attempt
from schemas.control import Content, ControlRecord, Heartbeat
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.records import Job
from schemas.runtime.errors import MailonceError
from schemas.templates.template import Needs

__all__ = [
    "BY_KEY",
    "UNSEEN",
    "BelowFloor",
    "Change",
    "Clock",
    "ControlLog",
    "Dedup",
    "Forbidden",
    "Item",
    "JobLog",
    "Letters",
    "Listener",
    "NotWhole",
    "Outcomes",
    "Pace",
    "Poll",
    "Produced",
    "RebuildLost",
    "Scanned",
    "Sender",
    "ServerSeen",
    "Transaction",
]


class NotWhole(MailonceError):
    """The dedup set lost entries or is being rebuilt: nobody may claim until it is whole again."""


class BelowFloor(MailonceError):
    """The dedup set has forgotten the months before this one: nothing is granted for them any more."""

    def __init__(self, floor: str) -> None:
        super().__init__(f"months before {floor} are closed for good")
        self.floor = floor


class RebuildLost(MailonceError):
    """The dedup set was lost again, or its rebuild stood still for too long: nothing more of that rebuild counts."""


class Clock(Protocol):
    """Time, randomness and waiting: passed in, so that a seed replays a failure."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970."""
        ...

    def boot_s(self) -> float:
        """Seconds on a clock that also runs while the process is stopped and the machine sleeps."""
        ...

    def random(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Item(msgspec.Struct, frozen=True, gc=False):
    """One key as the dedup scripts take it."""

    key: Key
    attempt: str = ""
    partition: int = -1
    offset: int = -1
    message_id: str = ""
    fingerprint: str = ""
    overrides: str = ""
    """The attempt that a resend names."""

    @classmethod
    def of(cls, attempt: Attempt, message_id: str = "") -> Item:
        ticket = attempt.ticket
        assert ticket.key is not None
        record, holder = ticket.record, attempt.holder
        overrides = ticket.resend.overrides if ticket.resend else ""
        return cls(ticket.key, holder, record.partition, record.offset, message_id, ticket.fingerprint, overrides)


class ServerSeen(NamedTuple):
    """Who a Redis server is, and what its dedup set is worth."""

    run: str = ""
    """its run id: another one after a restart or a failover"""
    installation: str = ""
    """whose set it holds; empty: nobody's, or one that 0.1 has marked"""
    lineage: str = ""
    """under which it was made whole the last time"""
    whole: bool = False
    """on this very server, as it runs now"""


UNSEEN = ServerSeen()
"""It did not answer."""


class Dedup(Protocol):
    """The dedup set.

    Laws: each call is one atomic step for all its items; an answer that got lost may be asked for again with the same
    items and gives the same state; `sent` is never lowered. What grants, frees or lowers does so in a set alone that is
    whole under the newest lineage. Raises `RedisUnavailable` when it does not answer.
    """

    async def claim(self, items: Sequence[Item]) -> list[Claim]:
        """Moves each key from absent (or closed by an older record, or held by the attempt that the item overrides) to
        sending; returns each key's claim after that.

        A record up to which the key is superseded gets nothing, a retry included, and is told that the key is closed. A
        foreign claim past its lifetime becomes uncertain. Raises `NotWhole` and changes nothing when the marker is
        missing, and `BelowFloor`, having granted nothing, when an item's month is before the set's floor.
        """
        ...

    async def cancel(self, items: Sequence[Item]) -> list[Claim]:
        """Bars the keys of tombstones: absent ones, those that this or an older record closed, those that the same bar
        holds, and those whose bar has had its time.

        Returns each key's claim after that; an expired one becomes uncertain. Raises `NotWhole`.
        """
        ...

    async def supersede(self, items: Sequence[Item]) -> list[Claim]:
        """From now on no record of a key up to the item's place, in that partition, is granted a claim.

        The place stands beside the claim, whatever becomes of that, and is never lowered. Returns each key's claim:
        what is sending may still be sent. Raises `NotWhole` and changes nothing when the marker is missing.
        """
        ...

    async def refuse(self, items: Sequence[Item]) -> list[Claim]:
        """Bars the keys of records that must not reach SES: absent ones, those that an older record closed, and those
        that the same bar holds.

        Returns each key's claim after that; an expired one becomes uncertain. Raises `NotWhole`.
        """
        ...

    async def tell(self, places: Sequence[tuple[int, int]], who: str) -> list[bool]:
        """Whether a letter about the records at these places (partition, offset) is for `who` to write.

        For one lifetime it is nobody else's, however often `who` asks; whether it was written before, the topic of
        letters says to whoever asks after this. Raises `NotWhole`.
        """
        ...

    async def recorded(self, keys: Sequence[Key]) -> list[Claim | None]:
        """Each key's claim where the ledger holds `sent`: a fact even while the set is not whole."""
        ...

    async def mark_sent(self, items: Sequence[Item]) -> list[Claim]:
        """SES accepted: writes the fact over anything that knows less; returns each key's claim after that.

        Another message may stand there already, or SES's word that it dropped this one.
        """
        ...

    async def release(self, items: Sequence[Item]) -> None:
        """Certainly not sent: frees the key, if it is still claimed or barred by the item's attempt.

        Raises `NotWhole` and changes nothing when the marker is missing: a rebuild may put the claim back.
        """
        ...

    async def mark_refused(self, items: Sequence[Item]) -> None:
        """Certainly not sent, and never to be: bars the key, if it is still claimed by the item's attempt.

        Nobody claims a barred key. When the bar has stood for a lifetime it counts from 0: whoever committed nothing
        until then cannot any more, so the dead letters tell whether the record has ended. Raises `NotWhole` and changes
        nothing when the marker is missing.
        """
        ...

    async def mark_doubt(self, items: Sequence[Item]) -> list[Claim]:
        """The answer is lost: makes the key uncertain, if it is still claimed by the item's attempt.

        Returns each key's claim after that: evidence of acceptance may have come before our own time-out. Raises
        `NotWhole` and changes nothing when the marker is missing.
        """
        ...

    async def record_sent(self, items: Sequence[Item]) -> list[Claim]:
        """The ledger holds `sent`: the message id may go, the fingerprint stays; returns each key's claim after that.

        It stands over everything but SES's word that it dropped this very attempt.
        """
        ...

    async def record_doubt(self, items: Sequence[Item]) -> list[Claim]:
        """The ledger holds `uncertain`; returns each key's claim after that: evidence may know better.

        Raises `NotWhole` and changes nothing when the marker is missing: a set of another life may know better as well.
        """
        ...

    async def record_drop(self, items: Sequence[Item]) -> None:
        """The ledger holds that SES accepted the item's message and dropped it."""
        ...

    async def close(self, items: Sequence[Item]) -> None:
        """The ledger holds that the record ended without a mail: closes the key unless it knows better.

        Raises `NotWhole` and changes nothing when the marker is missing.
        """
        ...


Forbidden = Callable[[], str]
"""Why a request must not leave now; empty: it may. Asked on any thread."""


class Sender(Protocol):
    """SES. Law: at most one request leaves for one call, and none unless `forbidden`, asked after signing and
    immediately before the bytes, says that it may."""

    async def send(self, request: Mapping[str, Any], forbidden: Forbidden) -> Answer: ...

    async def account(self) -> Account:
        """Rate and quota now."""
        ...

    async def template_needs(self, name: str) -> Needs:
        """What the template needs; nothing when the endpoint cannot tell. Raises `Halted` when there is no such one."""
        ...


class Templates(Protocol):
    """How a job becomes a mail. Law: whatever `check` lets pass, `content` can make."""

    async def check(self, job: Job) -> None:
        """Raises `BadRecord` for a job that the template cannot be filled in with, `Halted` without the template."""
        ...

    def content(self, job: Job) -> dict[str, Any]:
        """SES's ``Content``; raises ``ValueError`` for more than SES takes."""
        ...


class Lease(msgspec.Struct, frozen=True, gc=False):
    """A part of the group's budget."""

    granted: int
    wait_s: float
    """until the rate allows one more"""
    room: float | None
    """mails that the account's quota still takes; None when that has to be asked of SES anew"""


class Pace(Protocol):
    """The group's budget: one rate and one rolling quota for all its processors."""

    async def lease(self, wanted: int, rate: float, *, quota: bool) -> Lease:
        """Takes up to `wanted` mails of the budget.

        Args:
            wanted: mails.
            rate: mails a second for the whole group; 0 without limit.
            quota: whether the account has one.
        """
        ...

    async def leased(self) -> int:
        """Mails that the group had leased and SES has counted by now: what `set_room` wants from before the asking."""
        ...

    async def set_room(self, left: float, leased_before: int) -> None:
        """Tells the group how many mails the quota still takes, as SES says."""
        ...

    async def quota_opens_s(self) -> float | None:
        """Seconds until the group's oldest mails leave the rolling window, at the latest; None when it sent none."""
        ...

    async def throttled(self) -> float:
        """SES said that the group is too fast: halves what `lease` gives; it comes back slowly. Returns the share."""
        ...


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
        """Places of those among these records of the jobs topic that have a letter. Raises `BrokerUnavailable`."""
        ...


class Outcomes(Protocol):
    """What the ledger says of keys whose months are closed for good: the dedup set knows nothing of them."""

    async def of(self, records: Sequence[Record]) -> list[Entry | None]:
        """For each of these records of the jobs topic, what the ledger says of its key now, if anything.

        Of a key that was sent no more than that. Raises `BrokerUnavailable`.
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


Change = Callable[[Control], Sequence[tuple[bytes, Content | None]]]
"""What to write, decided on what the control topic says; nothing: it is as it should be."""


class ControlLog(Protocol):
    """The control topic.

    Laws: records come in their order, from the first that there is, and those that are acknowledged alone; a heartbeat
    that comes back was therefore taken. Of two changes that were decided on the same reading only one is written.
    """

    async def read(self, timeout_s: float) -> list[ControlRecord]:
        """What comes next, as soon as there is something; empty after `timeout_s`.

        A record of the kind ``lost`` says that the topic no longer holds the place that was to be read.
        Raises `BrokerUnavailable`.
        """
        ...

    def beat(self, heartbeat: Heartbeat) -> None:
        """Writes a heartbeat, without waiting: that it was taken is seen when it comes back."""
        ...

    def remove(self, process: str) -> None:
        """Takes a process's heartbeat away, without waiting."""
        ...

    async def change(self, decide: Change) -> None:
        """Writes what is decided on a reading to the end, all or nothing; asks anew when a rival was quicker.

        Raises `BrokerUnavailable`.
        """
        ...

    async def release(self) -> None:
        """Ends a change that hangs: behind it nobody reads his own heartbeat back. Raises `BrokerUnavailable`."""
        ...

    async def end_transactions(self, transactional_ids: Sequence[str]) -> None:
        """Ends the transactions of processes that are silent, as far as Kafka answers; fences them."""
        ...

    async def stop(self) -> None:
        """What was written is given a moment to be taken."""
        ...
