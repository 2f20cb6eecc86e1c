"""Which of a key's entries in the ledger stands, whatever partitions they are in: the one rule of every fold.

A key's entries come in order within a partition, and there the later one stands. Between two partitions offsets say
nothing: what decides is which attempts the entries name, then how much they know. Clocks decide last, and never whether
a key is barred.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import groupby

import msgspec

from processor.core.states import Claim, State
from schemas.records import Delivery, Outcome

__all__ = ["NOBODYS", "Entry", "attempts_in", "claim_of", "nobodys", "standing", "stands"]

NOBODYS = "~"
"""Before the name of each attempt of a claim that no processor holds; no attempt's own name has it."""


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An entry of the ledger, as far as a key's claim follows from it."""

    partition: int
    """of the ledger"""
    claim: str
    """what it makes of the key's claim, as text"""
    attempt: str
    """the attempts that it is about; empty when it names none"""
    at_ms: int
    job: tuple[int, int, int]
    """the record that it is about: partition, offset, and when it was appended (ms)"""
    overrides: str = ""
    """the attempt that its own was allowed to override"""
    decided: bool = False
    """a person's word about an uncertain mail"""
    offset: int = -1
    """of itself, in that partition"""

    @classmethod
    def of(cls, delivery: Delivery, partition: int, offset: int = -1) -> Entry:
        source = delivery.source
        return cls(
            partition,
            claim_of(delivery).to_text(),
            delivery.attempt or "",
            delivery.at_ms,
            (source.partition, source.offset, source.timestamp_ms),
            delivery.overrides,
            delivery.held,
            offset,
        )

    @property
    def state(self) -> State:
        return _STATES[self.claim[0]]

    @property
    def by_ses(self) -> bool:
        """As `Delivery.by_ses`."""
        return self.state in {State.SENT_RECORDED, State.DROPPED}


_STATES = {state.value: state for state in State}


def claim_of(delivery: Delivery) -> Claim:
    """The claim that an outcome in the ledger makes."""
    match delivery.outcome:
        case Outcome.SENT:
            attempt = (delivery.attempt or "") if delivery.overrides else ""
            return Claim(State.SENT_RECORDED, fingerprint=delivery.fingerprint, attempt=attempt)
        case Outcome.UNCERTAIN:
            return Claim(State.UNCERTAIN_RECORDED, attempt=delivery.attempt or "unknown")
        case Outcome.DEAD if delivery.message_id:
            return Claim(State.DROPPED, attempt=delivery.attempt or "unknown")
        case Outcome.DEAD if delivery.held:
            return Claim(State.UNCERTAIN_RECORDED, attempt=delivery.attempt or "unknown")
        case _:
            return Claim(State.CLOSED, partition=delivery.source.partition, offset=delivery.source.offset)


def nobodys(attempts: Iterable[str]) -> str:
    """The name under which several attempts are claimed together: by nobody.

    Each may have been called for, and each may still have a holder who would claim it again as his own: a processor
    that died after its note, one that took over, a zombie. So none of them may.
    """
    return "".join(f"{NOBODYS}{attempt}" for attempt in attempts)


def attempts_in(name: str) -> list[str]:
    """The attempts that a claim's or an outcome's name stands for."""
    return [attempt for attempt in name.split(NOBODYS) if attempt]


def standing(entries: Sequence[tuple[int, Entry | None]]) -> Entry | None:
    """What the ledger says of a key, by all its entries.

    Args:
        entries: partition of the ledger and entry, in order within each partition; ``None`` for a tombstone, which
            takes away what its partition said.

    What several partitions say of one attempt is settled first: a word of SES's lowers the `sent` that it is about,
    and no other.
    """
    if len(entries) == 1:
        return entries[0][1]
    said: dict[int, Entry] = {}
    for partition, entry in entries:
        if entry is None:
            said.pop(partition, None)
        elif stands(entry, said.get(partition)):
            said[partition] = entry
    by_attempt = groupby(sorted(said.values(), key=lambda entry: entry.attempt), key=lambda entry: entry.attempt)
    of_each = [reduce(_standing_of_two, entries) for _, entries in by_attempt]
    return reduce(_standing_of_two, of_each) if of_each else None


def _standing_of_two(one: Entry, other: Entry) -> Entry:
    return other if stands(other, one) else one


def stands(entry: Entry, before: Entry | None) -> bool:
    """Whether `entry`, read after `before`, is what the ledger says of their key from then on.

    `sent` is lowered by SES's own word alone, and no other says anything after a word of SES's about its attempt: it
    was on its way to the ledger when that word came.
    """
    if before is None:
        return True
    state, known = entry.state, before.state
    same = entry.attempt == before.attempt != ""
    if same and {state, known} == {State.SENT_RECORDED, State.DROPPED}:
        return state is State.DROPPED
    if not entry.by_ses and known is State.SENT_RECORDED:
        return False
    if same and not entry.by_ses and known is State.DROPPED:
        return False
    return entry.partition == before.partition or _stands_across(entry, before)


def _stands_across(entry: Entry, before: Entry) -> bool:
    """The same of two partitions, whichever was read first."""
    states = {entry.state, before.state}
    unnamed = State.DROPPED in states and not (entry.attempt and before.attempt)
    if State.SENT_RECORDED in states and len(states) > 1 and not unnamed:
        return entry.state is State.SENT_RECORDED
    if entry.overrides and entry.overrides == before.attempt:
        return True
    if before.overrides and before.overrides == entry.attempt:
        return False
    if State.CLOSED in states and len(states) > 1:
        return before.state is State.CLOSED
    if entry.attempt == before.attempt and entry.decided is not before.decided:
        return entry.decided
    return _when(entry) > _when(before)


def _when(entry: Entry) -> tuple[int, ...]:
    """Of two that ended without a mail the later record counts; of two that bar the key alike, the later entry."""
    record_ms = entry.job[2] if entry.state is State.CLOSED else 0
    return record_ms, entry.at_ms, entry.partition
