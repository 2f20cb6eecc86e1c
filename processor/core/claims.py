"""What each key's claim must be, by the ledger and the intents: the fold that a rebuild of the dedup set rests on.

Entries are kept as short texts: a partition of a large month has many.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from processor.core.states import Claim, State
from schemas.identity import Key
from schemas.records import Attempt, Delivery, Outcome

__all__ = ["NOBODYS", "Entries", "Fold", "Restored", "claim_of", "nobodys"]

NOBODYS = "~"
"""Begins the name of an attempt that no processor holds; no attempt's own name does."""
ENDED = "W"
"""Begins the name of an attempt that has ended, among a key's intents."""
ENDED_MAX = 8
"""Of so many ended attempts a key's claim is freed, the latest: a server's file is not older than that."""


class Restored(NamedTuple):
    """What a rebuild tells the dedup set of one key."""

    key: Key
    claim: str
    """as text; empty when the topics hold nothing but ended attempts"""
    partition: int
    """whose records say so"""
    ended: str = ""
    """Attempts that certainly call no more, between blanks: their claims, come back with the server, are freed."""


def claim_of(delivery: Delivery) -> Claim:
    """The claim that an outcome in the ledger makes."""
    match delivery.outcome:
        case Outcome.SENT:
            return Claim(State.SENT_RECORDED, fingerprint=delivery.fingerprint)
        case Outcome.UNCERTAIN:
            return Claim(State.UNCERTAIN_RECORDED, attempt=delivery.attempt or "unknown")
        case Outcome.DEAD if delivery.message_id:
            return Claim(State.DROPPED, attempt=delivery.attempt or "unknown")
        case Outcome.DEAD if delivery.held:
            return Claim(State.UNCERTAIN_RECORDED, attempt=delivery.attempt or "unknown")
        case _:
            return Claim(State.CLOSED, partition=delivery.source.partition, offset=delivery.source.offset)


class Entries(Protocol):
    """A mapping of keys to texts; a large one need not be in memory."""

    def get(self, key: bytes) -> str | None: ...

    def set(self, key: bytes, text: str | None) -> None: ...

    def items(self) -> Iterator[tuple[bytes, str]]: ...


class Fold:
    """One partition: first every outcome in order, then every intent in order, then `claims`."""

    def __init__(self, recorded: Entries, opened: Entries) -> None:
        self._recorded = recorded
        self._open = opened

    def outcome(self, key: bytes, delivery: Delivery) -> None:
        if not delivery.by_ses and is_told(self._recorded.get(key), delivery.attempt):
            return
        source = delivery.source
        claim = claim_of(delivery)
        self._recorded.set(key, f"{source.partition}:{source.offset}:{delivery.at_ms}:{claim.to_text()}")
        if claim.state is State.CLOSED and delivery.attempt:
            self._ends(key, delivery.attempt)

    def intent(self, key: bytes, attempt: Attempt) -> None:
        """An intent whose record has no outcome: a call may have happened, nobody knows."""
        if attempt.withdrawn:
            self._ends(key, attempt.attempt)
            return
        known = self._recorded.get(key)
        if known is not None and not _is_open(attempt, known):
            return
        claim = Claim(State.SENDING, attempt=attempt.attempt, since_ms=attempt.intended_at_ms)
        self._open.set(key, " ".join([*self._without(key, attempt.attempt), claim.to_text()]))

    def _ends(self, key: bytes, attempt: str) -> None:
        """It takes back its own attempt only: an earlier one of the key may still be in the air."""
        others = self._without(key, attempt)
        ended = [text for text in others if text[0] == ENDED][1 - ENDED_MAX :]
        opened = [text for text in others if text[0] != ENDED]
        self._open.set(key, " ".join([*ended, f"{ENDED}{attempt}", *opened]))

    def _without(self, key: bytes, attempt: str) -> list[str]:
        """The key's intents and ended attempts but this one."""
        held = (self._open.get(key) or "").split()
        return [text for text in held if text != f"{ENDED}{attempt}" and not text.startswith(f"A{attempt}:")]

    def no_outcome(self, key: bytes) -> None:
        """A tombstone in the ledger: the person is forgotten, and Kafka holds no job of the key any more."""
        self._recorded.set(key, None)
        self._open.set(key, None)

    def no_intent(self, key: bytes) -> None:
        """A tombstone among the intents."""
        self._open.set(key, None)

    def claims(self) -> Iterator[tuple[bytes, str, str]]:
        """Each key, its claim as text (empty when it has none), and its attempts that have ended."""
        for key, text in self._recorded.items():
            if self._open.get(key) is None:
                yield key, text.split(":", 3)[3], ""
        for key, text in self._open.items():
            held = text.split()
            opened = [one for one in held if one[0] != ENDED]
            ended = " ".join(one[1:] for one in held if one[0] == ENDED)
            known = "" if opened else self._recorded.get(key)
            claim = opened[0] if len(opened) == 1 else nobodys(opened[-1]) if opened else ""
            yield key, known.split(":", 3)[3] if known else claim, ended


def is_told(known: str | None, attempt: str | None) -> bool:
    """Whether the ledger held `sent` before, or SES's word that it dropped this attempt: no other counts then."""
    claim = known.split(":", 3)[3] if known is not None else ""
    return claim[:1] == State.SENT_RECORDED.value or claim == f"{State.DROPPED.value}{attempt}"


def nobodys(claim: str) -> str:
    """The claim under an attempt that nobody holds.

    Of several open intents each may have been called for, and each may still have a holder who would claim it again as
    his own: a processor that died after its mark, one that took over, a zombie. So none of them may.
    """
    return f"A{NOBODYS}{claim[1:]}"


def _is_open(attempt: Attempt, known: str) -> bool:
    """Whether a call may have happened after the outcome `known`: for a newer record, and where that is permitted."""
    partition, offset, at_ms, claim = known.split(":", 3)
    state = State(claim[0])
    if state is State.SENT_RECORDED:
        return False
    if state is not State.CLOSED and (attempt.resend is None or attempt.resend.overrides != claim[1:]):
        # The key was barred to this intent: it cannot have been claimed.
        return False
    if attempt.source.partition != int(partition):
        return attempt.intended_at_ms > int(at_ms)
    return attempt.source.offset > int(offset)
