"""The protocol: given this claim, what follows? (Given an answer: `processor.core.answered`.)

Every function returns a frozen value; the shell applies it. Read together with ``docs/guarantee.md``.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from processor.core.standing import attempts_in
from processor.core.states import Claim, State
from schemas.records import EVIDENCE, Outcome

__all__ = [
    "AfterClaim",
    "AskLetters",
    "Call",
    "Renounce",
    "Settle",
    "Skip",
    "WaitForOther",
    "after_cancel",
    "after_claim",
    "after_note",
    "after_refuse",
    "after_uncertain",
    "before_claim",
]


class Call(msgspec.Struct, frozen=True, gc=False):
    """The key is ours: call SES."""


class Settle(msgspec.Struct, frozen=True, gc=False):
    """The job has an outcome that the ledger is to hold."""

    outcome: Outcome
    reason: str | None = None
    detail: str | None = None
    attempt: str | None = None
    message_id: str | None = None
    report: bool = False
    """Whether a dead letter is written as well; with `sent` it tells that the record's own content did not go out."""
    fingerprint: str | None = None
    """Of the content that went out, where that is known and may be another than the record's."""


class Skip(msgspec.Struct, frozen=True, gc=False):
    """The record needs no outcome: the ledger already holds what there is to say.

    With `report` a dead letter tells of the record, and the key's outcome stays as it is.
    """

    why: str
    report: bool = False
    uncalled: bool = False
    """Whether this attempt is certainly never called for: its intent is withdrawn."""


class WaitForOther(msgspec.Struct, frozen=True, gc=False):
    """Another attempt may be calling SES for this key: look again, without holding up others."""

    attempt: str


class AskLetters(msgspec.Struct, frozen=True, gc=False):
    """The key was barred for this attempt's dead letter, and no letter can come any more: is there one?"""

    attempt: str


class Renounce(msgspec.Struct, frozen=True, gc=False):
    """The key is held for this attempt among others, any of which may have been called for: this one was not."""


AfterClaim = Call | Settle | Skip | WaitForOther | AskLetters | Renounce


def before_claim(*, left: bool, superseded: bool) -> Skip | None:
    """Why a record is not even claimed; ``None`` when it is.

    Args:
        left: whether its partition has left this processor. Nobody records this, but a later record of its key goes on.
        superseded: whether a newer record of its key has been read.
    """
    if left:
        return Skip("its partition has left this processor", uncalled=True)
    return Skip("a newer record of the key came before this one was attempted", uncalled=True) if superseded else None


def after_claim(claim: Claim, *, mine: str, fingerprint: str, partition: int, offset: int) -> AfterClaim:
    """What follows when the claim script found or made `claim`.

    Args:
        claim: the key's value after the script; ``SENDING`` under `mine` means that it was granted.
        mine: this record's attempt id.
        fingerprint: of this record's content.
        partition: of this record.
        offset: of this record.
    """
    match claim.state:
        case State.SENDING if claim.attempt == mine:
            return Call()
        case State.SENDING if mine in attempts_in(claim.attempt):
            return Renounce()
        case State.SENDING | State.BARRED:
            return _held(claim)
        case State.SENT:
            # Accepted, but nobody committed it: a crash between note and commit. Say so now.
            return msgspec.structs.replace(_went_out(claim), report=claim.fingerprint not in {"", fingerprint})
        case State.SENT_RECORDED:
            # Without a fingerprint (an outcome by evidence) nobody can tell whether the content changed.
            return Skip("already sent", report=claim.fingerprint not in {"", fingerprint})
        case State.UNCERTAIN:
            return _expired(claim)
        case State.UNCERTAIN_RECORDED:
            return Skip("held as uncertain")
        case State.DROPPED if claim.message_id:
            # Evidence told Redis and perhaps not the ledger: a crash between the two.
            return _dropped(claim.message_id, claim.attempt)
        case State.DROPPED:
            return Skip("SES accepted it and dropped it; only a resend calls again")
        case State.CLOSED if claim.partition == partition and claim.offset >= offset:
            return Skip("this record already has its outcome, or a newer one counts", uncalled=True)
        case State.CLOSED | State.ABSENT:
            raise AssertionError(f"the claim script left {claim} to a record that it should have let in")
        case _ as never:
            assert_never(never)


def _expired(claim: Claim) -> Settle:
    return Settle(
        Outcome.UNCERTAIN,
        reason="answer-lost",
        detail="the attempt's lifetime passed and nobody knows SES's answer",
        attempt=claim.attempt,
    )


def after_cancel(claim: Claim, *, bar: str) -> AfterClaim:
    """What follows when a tombstone left `claim`, the key's value after the cancel script.

    A tombstone cancels what was not attempted yet, also the corrected record of a mail that was dead. What was sent
    stays sent.

    Args:
        claim: the key's value after the script; ``BARRED`` under `bar` means that nobody else attempts it meanwhile.
        bar: whose bar this tombstone's is.
    """
    match claim.state:
        case State.BARRED if claim.attempt == bar:
            return Settle(Outcome.CANCELLED, reason="cancelled", detail="a tombstone for the key came before any call")
        case State.SENDING | State.BARRED:
            return _held(claim)
        case _:
            return _unrecorded(claim) or Skip("too late to cancel")


def after_refuse(
    claim: Claim, refusal: Settle, *, bar: str, fingerprint: str, partition: int, offset: int
) -> AfterClaim:
    """What follows for a record that must not reach SES, given what the refuse script found or made.

    The record gets its dead letter in any case, unless it is the very mail that went out before it was refused; the
    key's outcome changes only when the key has no better one.

    Args:
        claim: the key's value after the script; ``BARRED`` under `bar` means that nobody else attempts it meanwhile.
        refusal: what becomes of the record.
        bar: whose bar this record's is.
        fingerprint: of this record's content.
        partition: of this record.
        offset: of this record.
    """
    match claim.state:
        case State.BARRED if claim.attempt == bar:
            return refusal
        case State.SENDING | State.BARRED:
            return _held(claim)
        case State.CLOSED if claim.partition == partition and claim.offset >= offset:
            return Skip("this record already has its outcome")
        case State.CLOSED | State.ABSENT:
            raise AssertionError(f"the refuse script left {claim} to a record that it should have barred")
        case _:
            report = refusal.report and not claim.fingerprint == fingerprint != ""
            known = _unrecorded(claim)
            if known is None:
                return Skip("the key was attempted under an earlier record", report=report)
            return msgspec.structs.replace(known, report=report)


def _held(claim: Claim) -> WaitForOther | AskLetters:
    over = claim.state is State.BARRED and not claim.since_ms
    return AskLetters(claim.attempt) if over else WaitForOther(claim.attempt)


def _unrecorded(claim: Claim) -> Settle | None:
    """What the set knows of the key and the ledger may not: nobody commits it who does not say so now."""
    match claim.state:
        case State.SENT:
            return _went_out(claim)
        case State.UNCERTAIN:
            return Settle(Outcome.UNCERTAIN, reason="answer-lost", attempt=claim.attempt)
        case State.DROPPED if claim.message_id:
            return _dropped(claim.message_id, claim.attempt)
        case _:
            return None


def after_uncertain(claim: Claim, attempt: str) -> Settle | None:
    """What replaces `uncertain` when the key, after it was noted as uncertain, says that evidence came first."""
    if claim.state is State.SENT:
        return msgspec.structs.replace(_went_out(claim), reason=EVIDENCE, attempt=attempt)
    return None


def _went_out(claim: Claim) -> Settle:
    """What was accepted, which need not be what the record at hand holds: a newer one may have been read since."""
    return Settle(Outcome.SENT, message_id=claim.message_id, fingerprint=claim.fingerprint or None)


def after_note(claim: Claim, *, message_id: str, attempt: str) -> Settle | None:
    """What replaces `sent` when SES's event said, before our own note or commit, that it dropped the message."""
    if claim.state is State.DROPPED and claim.attempt == attempt:
        return _dropped(message_id, attempt)
    return None


def _dropped(message_id: str, attempt: str) -> Settle:
    """SES's own event tells of it; its dead letter comes with that."""
    return Settle(
        Outcome.DEAD,
        reason="dropped-by-ses",
        detail="SES accepted the message and then dropped it; the dead letter with SES's reason tells why",
        message_id=message_id,
        attempt=attempt,
    )
