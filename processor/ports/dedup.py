"""The dedup set: claims, one atomic step a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from processor.core.states import Claim
from processor.core.ticket import Attempt
from schemas.identity import Key
from schemas.runtime.errors import MailonceError

__all__ = ["UNSEEN", "BelowFloor", "Dedup", "Item", "NotWhole", "RebuildLost", "ServerSeen"]


class NotWhole(MailonceError):
    """The dedup set lost entries or is being rebuilt: nobody may claim until it is whole again."""


class BelowFloor(MailonceError):
    """The dedup set has forgotten the months before this one: nothing is granted for them any more."""

    def __init__(self, floor: str) -> None:
        super().__init__(f"months before {floor} are closed for good")
        self.floor = floor


class RebuildLost(MailonceError):
    """The dedup set was lost again, or its rebuild stood still for too long: nothing more of that rebuild counts."""


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
    """whose set it holds; empty: nobody's, or one whose marker 0.1 wrote"""
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

    async def note_sent(self, items: Sequence[Item]) -> list[Claim]:
        """SES accepted: writes the fact over anything that knows less; returns each key's claim after that.

        Another message may stand there already, or SES's word that it dropped this one.
        """
        ...

    async def release(self, items: Sequence[Item]) -> None:
        """Certainly not sent: frees the key, if it is still claimed or barred by the item's attempt.

        Raises `NotWhole` and changes nothing when the marker is missing: a rebuild may put the claim back.
        """
        ...

    async def note_refused(self, items: Sequence[Item]) -> None:
        """Certainly not sent, and never to be: bars the key, if it is still claimed by the item's attempt.

        Nobody claims a barred key. When the bar has stood for a lifetime it counts from 0: whoever committed nothing
        until then cannot any more, so the dead letters tell whether the record has ended. Raises `NotWhole` and changes
        nothing when the marker is missing.
        """
        ...

    async def note_uncertain(self, items: Sequence[Item]) -> list[Claim]:
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

    async def record_uncertain(self, items: Sequence[Item]) -> list[Claim]:
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
