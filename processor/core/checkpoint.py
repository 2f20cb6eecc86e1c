"""Up to where ledger and attempts are in the dedup set, and what a rebuild makes of what came since. Pure.

The set carries its checkpoint, so a server that brings back a prefix of what was written to it brings back the
checkpoint of that prefix. It may say "up to here" only where a rebuild from there restores every call that may have
happened: it never passes an open intent, and never an outcome without the intents before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from processor.core.claims import Folded, Intent, folded
from processor.core.resume import Committed, Log, resume, tagged
from processor.core.standing import Entry, attempts_in, standing
from processor.core.states import Claim, State

__all__ = [
    "NOTHING",
    "NO_ENDS",
    "Checkpoint",
    "Cut",
    "End",
    "Ends",
    "Place",
    "Topic",
    "folded_on",
    "held",
    "why_void",
]

PAST = -1
"""The partition, in a fold, of what the set says."""
STEP = 1024
"""So many intents of a partition are counted together: how much more is read again, at most."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Up to where a partition is in the set."""

    offset: int
    epoch: int = -1
    """leader epoch that the partition had then; negative: unknown"""


class Topic(msgspec.Struct, frozen=True):
    """The places in one topic."""

    id: str = ""
    """empty where a broker tells none"""
    places: dict[int, Place] = msgspec.field(default_factory=dict)

    @property
    def starts(self) -> dict[int, int]:
        """Where each partition is read on; one that is not named, from 0."""
        return {number: place.offset for number, place in self.places.items()}


class Checkpoint(msgspec.Struct, frozen=True):
    """Up to where both topics are in the set."""

    ledger: Topic = Topic()
    attempts: Topic = Topic()

    def to_text(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def at(cls, ends: Ends) -> Checkpoint:
        """Everything up to these ends."""
        ledger = {number: Place(end.end, end.epoch) for number, end in ends.ledger.items()}
        attempts = {number: Place(end.end, end.epoch) for number, end in ends.attempts.items()}
        return cls(Topic(ends.ledger_id, ledger), Topic(ends.attempts_id, attempts))

    @classmethod
    def of_text(cls, text: str) -> Checkpoint:
        """Raises `msgspec.DecodeError` for what nobody wrote."""
        return msgspec.json.decode(text, type=cls)


NOTHING = Checkpoint()
"""Nothing is in the set: everything is read."""


class End(NamedTuple):
    """A partition as it is now."""

    end: int
    """open transactions included"""
    epoch: int = -1
    """the leader's; negative: unknown"""
    epoch_before: int = -1
    """leader epoch of the last record before the checkpoint's place; negative: not asked, or there is none"""


class Ends(NamedTuple):
    """Both topics as they are now; the ledger was asked first, so every outcome before its ends has its intent before
    those of the attempts."""

    ledger_id: str
    ledger: Mapping[int, End]
    attempts_id: str
    attempts: Mapping[int, End]


NO_ENDS = Ends("", {}, "", {})


def why_void(checkpoint: Checkpoint, ends: Ends) -> str:
    """Why the checkpoint does not count in these topics; empty: it does."""
    pairs = (
        (checkpoint.ledger, ends.ledger_id, ends.ledger),
        (checkpoint.attempts, ends.attempts_id, ends.attempts),
    )
    for topic, topic_id, partitions in pairs:
        for number, place in topic.places.items():
            now = partitions.get(number, End(0))
            known = Committed(place.offset, tagged("", topic.id), place.epoch)
            if why := resume(known, Log(now.end, topic_id, now.epoch_before)).void:
                return why
    return ""


class Cut:
    """Finds the latest checkpoint before given ends from which nothing is missed. Told of every key that was folded."""

    def __init__(self, ends: Ends, ended: Mapping[tuple[int, int], dict[int, int]] | None = None) -> None:
        self._ends = ends
        self._open: dict[int, int] = {}
        """partition of the attempts: the first open intent's offset"""
        self._ended = dict(ended or {})
        """partition and step of the attempts: for each partition of the ledger the first outcome that ended one of
        these intents. An intent that is read again is to find it."""

    def hold(self, places: Iterable[tuple[int, int]]) -> None:
        """Places of intents that may have been called for and have neither outcome nor withdrawal."""
        for partition, offset in places:
            self._open[partition] = min(offset, self._open.get(partition, offset))

    def ended(self, entries: Sequence[tuple[int, Entry | None]], intents: Sequence[tuple[int, Intent | None]]) -> None:
        """A key's rows. What bars the key is known by the set; who closed it, by the entry alone."""
        named = {
            name: entry
            for _, entry in entries
            if entry is not None and entry.state is State.CLOSED and entry.attempt
            for name in attempts_in(entry.attempt)
        }
        for _, intent in intents if named else ():
            if intent is not None and (entry := named.get(intent.attempt)) is not None:
                partition, offset = intent.at
                firsts = self._ended.setdefault((partition, offset // STEP), {})
                firsts[entry.partition] = min(entry.offset, firsts.get(entry.partition, entry.offset))

    def checkpoint(self) -> Checkpoint:
        """The latest before the ends."""
        everything = Checkpoint.at(self._ends)
        ledger, attempts = dict(everything.ledger.places), dict(everything.attempts.places)
        for number, offset in self._open.items():
            _lower(attempts, number, offset)
        for (partition, step), firsts in self._ended.items():
            if partition in attempts and (step + 1) * STEP > attempts[partition].offset:
                for number, offset in firsts.items():
                    _lower(ledger, number, offset)
        return Checkpoint(Topic(self._ends.ledger_id, ledger), Topic(self._ends.attempts_id, attempts))

    def later(self, ends: Ends) -> Cut:
        """One for later ends: with what ended already and is not passed, and nothing open."""
        attempts = self.checkpoint().attempts.starts
        left = {at: firsts for at, firsts in self._ended.items() if (at[1] + 1) * STEP > attempts.get(at[0], 0)}
        return Cut(ends, left)


def _lower(places: dict[int, Place], number: int, offset: int) -> None:
    if number in places and offset < places[number].offset:
        places[number] = Place(offset, places[number].epoch)


def folded_on(
    claim: Claim, entries: Sequence[tuple[int, Entry | None]], intents: Sequence[tuple[int, Intent | None]]
) -> Folded | None:
    """As `folded`, of what came since the checkpoint, on top of what the set says of the key.

    What the set says is taken for an entry of the past: whatever comes later stands against it by the rule that any two
    entries stand by. Where it still stands the set is left as it is.
    """
    before = _past(claim, entries, intents)
    found = folded([*before, *entries], intents)
    if found is None or found.claim.startswith(State.SENDING.value):
        return found
    known = standing([*before, *entries])
    stays = known is not None and known.partition == PAST and claim.state in _KNOWN
    return found._replace(claim="") if stays else found


def held(
    claim: Claim, entries: Sequence[tuple[int, Entry | None]], intents: Sequence[tuple[int, Intent | None]]
) -> Sequence[tuple[int, int]]:
    """Places, in the attempts topic, of a key's intents that hold the checkpoint back.

    Those that a rebuild would restore as sending; and where the set alone knows what became of the key, those that the
    ledger leaves open: until the ledger holds it.
    """
    found = folded(entries, intents)
    if found is None or not found.opened or claim.state in {State.SENT, State.UNCERTAIN}:
        return found.opened if found else ()
    found = folded_on(claim, entries, intents)
    return found.opened if found else ()


_KNOWN = {
    State.SENT,
    State.SENT_RECORDED,
    State.UNCERTAIN,
    State.UNCERTAIN_RECORDED,
    State.DROPPED,
    State.CLOSED,
}


def _past(
    claim: Claim, entries: Sequence[tuple[int, Entry | None]], intents: Sequence[tuple[int, Intent | None]]
) -> list[tuple[int, Entry | None]]:
    """What stands for all entries before the checkpoint.

    A claim hides what it was granted over: that an attempt was in doubt is told by each intent that overrides it. And
    what a later entry overrides stands no more.
    """
    over = {entry.overrides for _, entry in entries if entry is not None}
    uncertain = dict.fromkeys(intent.overrides for _, intent in intents if intent is not None and intent.overrides)
    found = [Claim(State.UNCERTAIN_RECORDED, attempt=name) for name in uncertain if name not in over]
    match claim.state:
        case State.SENT | State.SENT_RECORDED:
            found.append(Claim(State.SENT_RECORDED, fingerprint=claim.fingerprint, attempt=claim.attempt))
        case State.UNCERTAIN | State.UNCERTAIN_RECORDED if claim.attempt not in over:
            found.append(Claim(State.UNCERTAIN_RECORDED, attempt=claim.attempt))
        case State.DROPPED if claim.attempt not in over:
            found.append(Claim(State.DROPPED, attempt=claim.attempt))
        case State.CLOSED:
            found.append(claim)
    # Older than any other, and of no partition of the ledger: nobody knows any more where it stood.
    return [(PAST, Entry(PAST, c.to_text(), c.attempt, -1, (c.partition, c.offset, -1))) for c in found]
