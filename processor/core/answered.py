"""The protocol: given this answer of SES's, what follows?

As in `processor.core.decide`, a frozen value is returned; the shell applies it.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from processor.core.answers import (
    Accepted,
    Halt,
    NoQuota,
    NotBegun,
    RefusedForNow,
    RefusedMessage,
    RetryClass,
    SignatureRefused,
    Unknown,
    Verdict,
)
from processor.core.decide import Settle
from processor.core.suspects import Meaning
from schemas.records import Outcome

__all__ = [
    "AfterAnswer",
    "Finish",
    "GiveBack",
    "GiveUp",
    "Note",
    "NoteRefused",
    "NoteSent",
    "NoteUncertain",
    "Others",
    "Pause",
    "Resign",
    "RetryLater",
    "Suspect",
    "after_answer",
]


class Note(msgspec.Struct, frozen=True, gc=False):
    """What the dedup set is told right after an answer; each is one conditional change."""


class NoteSent(Note, frozen=True, gc=False):
    message_id: str


class NoteRefused(Note, frozen=True, gc=False):
    """Certainly not sent, nor will it be: the key is barred to others until the dead letter has committed."""


class NoteUncertain(Note, frozen=True, gc=False):
    """The answer is lost."""


class Finish(msgspec.Struct, frozen=True, gc=False):
    """Note, then the job has its outcome."""

    note: Note
    settle: Settle


class RetryLater(msgspec.Struct, frozen=True, gc=False):
    """Release the claim and try again after a back-off.

    The claim is not kept while waiting: a crash then would leave in doubt a message that no call was about.
    """

    retry: RetryClass
    detail: str


class Pause(msgspec.Struct, frozen=True, gc=False):
    """Release the claim; start no call until the quota has room."""

    detail: str


class Suspect(msgspec.Struct, frozen=True, gc=False):
    """Release the claim and try again in a moment: what others are answered meanwhile says what the refusal means."""

    detail: str


class Resign(msgspec.Struct, frozen=True, gc=False):
    """Release the claim and call again with a fresh signature."""

    detail: str


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """Release the claim and halt the processor; nothing is dead-lettered."""

    reason: str
    detail: str


class GiveBack(msgspec.Struct, frozen=True, gc=False):
    """Release the claim; call again as soon as this process may."""

    detail: str


AfterAnswer = Finish | RetryLater | Pause | GiveBack | Suspect | Resign | GiveUp


class Others(msgspec.Struct, frozen=True, gc=False):
    """What is known beside the one answer."""

    away: bool = False
    """whether SES does not answer anybody"""
    failing: bool = False
    """whether the calls before this one got no answer either"""
    meaning: Meaning = Meaning.EVERYBODYS
    """of a refusal that may be about what this mail alone names"""
    signed_anew: bool = False
    """whether this attempt's signature was refused before, and this was a fresh one"""


NOTHING_ELSE = Others()


def after_answer(
    verdict: Verdict, *, attempt: str, tries: int, tries_max: dict[RetryClass, int], others: Others = NOTHING_ELSE
) -> AfterAnswer:
    """What follows on SES's answer to a call.

    Args:
        verdict: what the answer proves.
        attempt: the attempt's id.
        tries: calls that ended in this retry class so far, this one included.
        tries_max: per class, how many calls there may be before the job is dead-lettered.
        others: what is known beside it.
    """
    match verdict:
        case Accepted(message_id):
            return Finish(NoteSent(message_id), Settle(Outcome.SENT, message_id=message_id, attempt=attempt))
        case RefusedMessage(reason, detail):
            return Finish(NoteRefused(), _dead(reason, detail, attempt))
        case RefusedForNow(retry, detail):
            return _for_now(verdict, attempt, tries=tries, tries_max=tries_max[retry], others=others)
        case NotBegun(detail):
            return GiveBack(detail)
        case NoQuota(detail):
            return Pause(detail)
        case SignatureRefused(detail, ahead_s):
            return GiveUp("clock", _clock(detail, ahead_s)) if others.signed_anew else Resign(detail)
        case Halt(reason, detail, own=True) if others.meaning is Meaning.ITS_OWN:
            return Finish(NoteRefused(), _dead(_OWN_REASONS.get(reason, reason), detail, attempt))
        case Halt(reason, detail, own=True) if others.meaning is Meaning.UNKNOWN:
            return Suspect(detail)
        case Halt(reason, detail):
            return GiveUp(reason, detail)
        case Unknown(reason, detail):
            return Finish(NoteUncertain(), Settle(Outcome.UNCERTAIN, reason=reason, detail=detail, attempt=attempt))
        case _ as never:
            assert_never(never)


_OWN_REASONS = {
    "template-or-configuration-set-missing": "template-missing",
    "credentials": "not-authorized",
    "sender-not-verified": "identity-not-verified",
}
"""What a reason to halt is called when it is one mail's."""


def _for_now(
    verdict: RefusedForNow, attempt: str, *, tries: int, tries_max: int, others: Others
) -> RetryLater | GiveBack | Finish:
    """No job dies of an outage: it waits with all others, and its tries are not counted."""
    retry, detail = verdict.retry, verdict.detail
    if retry is RetryClass.UNREACHABLE and others.away:
        return GiveBack(detail)
    if tries >= tries_max and not (retry is RetryClass.UNREACHABLE and others.failing):
        return Finish(NoteRefused(), _dead(f"retries-exhausted-{retry}", detail, attempt))
    return RetryLater(retry, detail)


def _clock(detail: str, ahead_s: float | None) -> str:
    how = "is wrong"
    if ahead_s is not None:
        how = f"is {abs(ahead_s):,.0f} s {'ahead of' if ahead_s > 0 else 'behind'} SES's"
    return f"this machine's clock {how}: set it (NTP), or SES refuses every signature; it said: {detail}"


def _dead(reason: str, detail: str, attempt: str) -> Settle:
    return Settle(Outcome.DEAD, reason=reason, detail=detail, attempt=attempt, report=True)
