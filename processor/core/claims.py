"""What each key's claim must be, by the ledger and the intents: the fold that a rebuild of the dedup set rests on.

One fold a key, whatever partitions its records stand in. An intent is closed by a withdrawal or an outcome that names
its attempt; by one that does not, only where the claim script would refuse it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from processor.core.standing import Entry, attempts_in, nobodys, standing
from processor.core.states import Claim, State
from schemas.identity import Key
from schemas.records import Attempt

__all__ = ["NOWHERE", "Folded", "Intent", "Restored", "folded"]

ENDED_MAX = 8
"""Of so many ended attempts a key's claim is freed, the latest: a server's file is not older than that."""
OPEN_MAX = 16
"""So many open intents a claim of nobody's names, the latest: who dies again and again leaves one each time."""
NOWHERE = (-1, -1)


class Restored(NamedTuple):
    """What a rebuild tells the dedup set of one key."""

    key: Key
    claim: str
    """as text; empty when the topics hold nothing but ended attempts. Of a claim that may be called for the script says
    since when."""
    place: tuple[int, int] = NOWHERE
    """With open intents: the partition of their records, -1 if they have several, and the last one's offset. A record
    that ended there or later says that no call followed under them."""
    ended: str = ""
    """Attempts that certainly call no more, between blanks: their claims, come back with the server, are freed."""
    opened: tuple[tuple[int, int], ...] = ()
    """places in the attempts topic of the intents that may be called for"""


class Intent(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An intent or its withdrawal, as far as a claim follows from it."""

    attempt: str
    partition: int
    """of the record to be mailed, with its offset"""
    offset: int
    overrides: str = ""
    withdrawn: bool = False
    at: tuple[int, int] = NOWHERE
    """where it stands itself, in the attempts topic"""
    process: str = ""
    """that may call under it, where that was asked"""

    @classmethod
    def of(cls, attempt: Attempt, at: tuple[int, int] = NOWHERE, process: str = "") -> Intent:
        source, leave = attempt.source, attempt.resend
        overrides = leave.overrides if leave else ""
        return cls(attempt.attempt, source.partition, source.offset, overrides, attempt.withdrawn, at, process)


class Folded(NamedTuple):
    """As `Restored`, of a key that is not read yet."""

    claim: str
    place: tuple[int, int] = NOWHERE
    ended: str = ""
    opened: tuple[tuple[int, int], ...] = ()


def folded(
    entries: Sequence[tuple[int, Entry | None]], intents: Sequence[tuple[int, Intent | None]] = ()
) -> Folded | None:
    """A key's claim; ``None`` when the topics say nothing of it.

    Args:
        entries: partition and entry of the ledger, in order within each partition; ``None`` for a tombstone: the person
            is forgotten, and Kafka holds no job of the key any more.
        intents: partition and intent, likewise.
    """
    known = standing(entries)
    opened, ended = _intents(entries, intents)
    claimed = list(opened.values()) if known is None else _callable(opened.values(), known, entries)
    if not claimed:
        return Folded(known.claim if known else "", ended=ended) if known or ended else None
    names = [intent.attempt for intent in claimed][-OPEN_MAX:]
    partitions = {intent.partition for intent in claimed}
    place = (partitions.pop() if len(partitions) == 1 else -1, max(intent.offset for intent in claimed))
    claim = Claim(State.SENDING, names[0] if len(names) == 1 else nobodys(names)).to_text()
    return Folded(claim, place, ended, tuple(intent.at for intent in claimed if intent.at != NOWHERE))


def _intents(
    entries: Sequence[tuple[int, Entry | None]], intents: Sequence[tuple[int, Intent | None]]
) -> tuple[Mapping[str, Intent], str]:
    """Intents that nothing closes by their name, and the attempts that have ended without a mail."""
    named: set[str] = set()
    ended: dict[str, None] = {}
    for _, entry in entries:
        if entry is not None and entry.attempt:
            named.update(attempts_in(entry.attempt))
            if entry.state is State.CLOSED:
                ended[entry.attempt] = None
    opened: dict[str, tuple[int, Intent]] = {}
    for partition, intent in intents:
        if intent is None:
            opened = {name: held for name, held in opened.items() if held[0] != partition}
        elif intent.withdrawn:
            opened.pop(intent.attempt, None)
            ended.pop(intent.attempt, None)
            ended[intent.attempt] = None
        elif intent.attempt not in named and intent.attempt not in ended:
            opened[intent.attempt] = (partition, intent)
    return {name: intent for name, (_, intent) in opened.items()}, " ".join(list(ended)[-ENDED_MAX:])


def _callable(
    opened: Collection[Intent], known: Entry, entries: Sequence[tuple[int, Entry | None]]
) -> Sequence[Intent]:
    """Those among the open intents under which the key may have been claimed, given what the ledger says of it."""
    state = known.state
    if not opened or state is State.SENT_RECORDED:
        return []
    if state is not State.CLOSED:
        # Barred to every attempt but one that has leave to override the one in doubt.
        opened = [intent for intent in opened if intent.overrides == known.claim[1:]]
    ends: dict[int, int] = {}
    for _, entry in entries:
        if entry is not None and entry.state is State.CLOSED:
            partition, offset, _ = entry.job
            ends[partition] = max(offset, ends.get(partition, -1))
    # Whoever ended a record was granted its key: every claim for that record or an older one had been given back, and
    # none is granted since. Of records in other partitions the scripts know no order.
    return [intent for intent in opened if intent.offset > ends.get(intent.partition, -1)]
