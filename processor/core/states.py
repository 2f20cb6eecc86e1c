"""The states of a key in the dedup set, their form in Redis, and the table of every change there is.

Redis changes states only by the named scripts in ``adapters/lua``; this table is what they must agree with, and a
contract test holds them to it. A change that is not in the table does not happen.
"""

from __future__ import annotations

import re
from enum import Enum, StrEnum
from typing import assert_never

import msgspec

__all__ = ["ABSENT", "TRANSITIONS", "Change", "Claim", "State", "diagram", "parse_claim", "short_id"]


class State(Enum):
    """What the dedup set says of a key; the value is the first character in Redis."""

    ABSENT = ""
    SENDING = "A"
    """A call to SES may be happening under this attempt."""
    BARRED = "B"
    """Certainly not sent, and never to be for this record, a bad one, a refused one or a tombstone: barred to others
    until the ledger holds its end."""
    SENT = "S"
    """SES accepted it; the ledger may not say so yet."""
    SENT_RECORDED = "s"
    UNCERTAIN = "U"
    """An attempt ended without an answer; the ledger may not say so yet."""
    UNCERTAIN_RECORDED = "u"
    DROPPED = "R"
    """SES accepted the attempt's message and dropped it (Rendering Failure, Reject): only a resend calls again."""
    CLOSED = "D"
    """One record of the key ended without a mail (dead, cancelled or suppressed); a newer record is attempted."""


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A key's value in the dedup set.

    Forms: ``A<attempt>:<since ms>`` · ``B<attempt>:<since ms>`` (0 once its time is over) ·
    ``S<message id>:<fingerprint>`` · ``s<fingerprint>`` · after a resend ``s<fingerprint>:<attempt>`` ·
    ``U<attempt>`` · ``u<attempt>`` · ``R<attempt>:<message id>`` · once the ledger holds it ``R<attempt>`` (0.1 wrote
    no other) · ``D<partition>:<offset>``. For the attempt several may stand, each after a ``~``: then nobody may claim
    under one of them again. But for one that names more than three none is longer than 64 bytes, so that Redis keeps a
    bucket packed (`hash-max-listpack-value`); once the ledger holds an outcome, the long message id is dropped here.
    With `State.SENT` the fingerprint is that of what went out: whoever records it may have read another. A message id
    of SES's own form stands there without what follows from that form; 0.1 wrote it whole, and no fingerprint.
    """

    state: State
    attempt: str = ""
    since_ms: int = 0
    fingerprint: str = ""
    message_id: str = ""
    partition: int = -1
    offset: int = -1

    def to_text(self) -> str:
        match self.state:
            case State.ABSENT:
                return ""
            case State.SENDING | State.BARRED:
                return f"{self.state.value}{self.attempt}:{self.since_ms}"
            case State.SENT:
                return f"S{short_id(self.message_id)}:{self.fingerprint}"
            case State.SENT_RECORDED:
                return f"s{self.fingerprint}:{self.attempt}" if self.attempt else f"s{self.fingerprint}"
            case State.UNCERTAIN | State.UNCERTAIN_RECORDED:
                return f"{self.state.value}{self.attempt}"
            case State.DROPPED:
                return f"R{self.attempt}:{short_id(self.message_id)}" if self.message_id else f"R{self.attempt}"
            case State.CLOSED:
                return f"D{self.partition}:{self.offset}"
            case _ as never:
                assert_never(never)


ABSENT = Claim(State.ABSENT)


_SES_ID = re.compile(r"([0-9a-f]{16})-([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})-000000")
_SHORT_ID = re.compile(r"\.([0-9a-f]{16})([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})")


def short_id(message_id: str) -> str:
    """A message id as it stands in Redis."""
    found = _SES_ID.fullmatch(message_id)
    return "." + "".join(found.groups()) if found else message_id


def _long_id(short: str) -> str:
    found = _SHORT_ID.fullmatch(short)
    return "-".join([*found.groups(), "000000"]) if found else short


_STATES = {state.value: state for state in State}


def parse_claim(text: str) -> Claim:
    """The claim written as `text`; raises ``ValueError`` for what no version of mailonce wrote."""
    if not text:
        return ABSENT
    head, _, tail = text[1:].partition(":")
    match _STATES.get(text[0]) or State(text[0]):
        case State.SENDING | State.BARRED as state:
            return Claim(state, attempt=head, since_ms=int(tail))
        case State.SENT:
            named, _, content = text[1:].rpartition(":") if ":" in text else (text[1:], "", "")
            return Claim(State.SENT, message_id=_long_id(named), fingerprint=content)
        case State.SENT_RECORDED:
            return Claim(State.SENT_RECORDED, fingerprint=head, attempt=tail)
        case State.UNCERTAIN | State.UNCERTAIN_RECORDED as state:
            return Claim(state, attempt=head)
        case State.DROPPED:
            return Claim(State.DROPPED, attempt=head, message_id=_long_id(tail))
        case _:
            return Claim(State.CLOSED, partition=int(head), offset=int(tail))


class Change(StrEnum):
    """The named changes: each is one script, or one branch of one."""

    CLAIM = "claim"
    RECLAIM = "claim again under the same attempt"
    CLAIM_NEWER = "claim for a newer record"
    RESEND = "claim by a resend that names the attempt"
    EXPIRE = "lifetime passed without an answer"
    REFUSED = "refused by SES for good"
    BAR = "held by a tombstone or a record that must not reach SES"
    SENT = "accepted by SES"
    RELEASE = "certainly not sent"
    LEAVE = "one of several attempts was never called for"
    RELEASE_RESEND = "a resend was certainly not sent"
    ANSWER_LOST = "answer lost"
    DROP = "accepted, then dropped by SES"
    RECORD_DROP = "ledger holds dropped"
    RECORD_SENT = "ledger holds sent"
    RECORD_DOUBT = "ledger holds uncertain"
    CLOSE = "record ended without a mail"
    ADOPT = "set adopted from another installation"


TRANSITIONS: dict[tuple[State, Change], State] = {
    (State.ABSENT, Change.CLAIM): State.SENDING,
    (State.SENDING, Change.RECLAIM): State.SENDING,
    (State.CLOSED, Change.CLAIM_NEWER): State.SENDING,
    (State.UNCERTAIN, Change.RESEND): State.SENDING,
    (State.UNCERTAIN_RECORDED, Change.RESEND): State.SENDING,
    (State.DROPPED, Change.RESEND): State.SENDING,
    (State.SENDING, Change.EXPIRE): State.UNCERTAIN,
    # Barred while a dead letter is on its way. When its time is over whoever wants the key looks for the letter first.
    (State.SENDING, Change.REFUSED): State.BARRED,
    (State.BARRED, Change.REFUSED): State.BARRED,
    (State.ABSENT, Change.BAR): State.BARRED,
    (State.CLOSED, Change.BAR): State.BARRED,
    (State.BARRED, Change.BAR): State.BARRED,
    (State.BARRED, Change.EXPIRE): State.BARRED,
    # Facts may be written at any time, over anything that knows less.
    (State.ABSENT, Change.SENT): State.SENT,
    (State.SENDING, Change.SENT): State.SENT,
    (State.BARRED, Change.SENT): State.SENT,
    (State.UNCERTAIN, Change.SENT): State.SENT,
    (State.UNCERTAIN_RECORDED, Change.SENT): State.SENT,
    (State.CLOSED, Change.SENT): State.SENT,
    (State.ABSENT, Change.DROP): State.DROPPED,
    (State.SENDING, Change.DROP): State.DROPPED,
    (State.BARRED, Change.DROP): State.DROPPED,
    (State.SENT, Change.DROP): State.DROPPED,
    (State.SENT_RECORDED, Change.DROP): State.DROPPED,
    (State.UNCERTAIN, Change.DROP): State.DROPPED,
    (State.UNCERTAIN_RECORDED, Change.DROP): State.DROPPED,
    (State.CLOSED, Change.DROP): State.DROPPED,
    (State.SENDING, Change.RELEASE): State.ABSENT,
    (State.SENDING, Change.RELEASE_RESEND): State.UNCERTAIN_RECORDED,
    (State.SENDING, Change.LEAVE): State.SENDING,
    (State.BARRED, Change.RELEASE): State.ABSENT,
    (State.BARRED, Change.RELEASE_RESEND): State.UNCERTAIN_RECORDED,
    (State.SENDING, Change.ANSWER_LOST): State.UNCERTAIN,
    # What the ledger holds is a fact too: a rebuild may have put less back while it was being committed.
    (State.ABSENT, Change.RECORD_SENT): State.SENT_RECORDED,
    (State.SENDING, Change.RECORD_SENT): State.SENT_RECORDED,
    (State.BARRED, Change.RECORD_SENT): State.SENT_RECORDED,
    (State.SENT, Change.RECORD_SENT): State.SENT_RECORDED,
    (State.UNCERTAIN, Change.RECORD_SENT): State.SENT_RECORDED,
    (State.UNCERTAIN_RECORDED, Change.RECORD_SENT): State.SENT_RECORDED,
    (State.CLOSED, Change.RECORD_SENT): State.SENT_RECORDED,
    (State.ABSENT, Change.RECORD_DOUBT): State.UNCERTAIN_RECORDED,
    (State.SENDING, Change.RECORD_DOUBT): State.UNCERTAIN_RECORDED,
    (State.UNCERTAIN, Change.RECORD_DOUBT): State.UNCERTAIN_RECORDED,
    (State.ABSENT, Change.RECORD_DROP): State.DROPPED,
    (State.SENDING, Change.RECORD_DROP): State.DROPPED,
    (State.BARRED, Change.RECORD_DROP): State.DROPPED,
    (State.SENT, Change.RECORD_DROP): State.DROPPED,
    (State.SENT_RECORDED, Change.RECORD_DROP): State.DROPPED,
    (State.UNCERTAIN, Change.RECORD_DROP): State.DROPPED,
    (State.UNCERTAIN_RECORDED, Change.RECORD_DROP): State.DROPPED,
    (State.CLOSED, Change.RECORD_DROP): State.DROPPED,
    (State.DROPPED, Change.RECORD_DROP): State.DROPPED,
    (State.ABSENT, Change.CLOSE): State.CLOSED,
    (State.SENDING, Change.CLOSE): State.CLOSED,
    (State.BARRED, Change.CLOSE): State.CLOSED,
    (State.CLOSED, Change.CLOSE): State.CLOSED,
    # The ledger holds what follows by then, and knew nothing of the key before (`processor.core.adoption`).
    (State.SENDING, Change.ADOPT): State.UNCERTAIN_RECORDED,
    (State.UNCERTAIN, Change.ADOPT): State.UNCERTAIN_RECORDED,
    (State.DROPPED, Change.ADOPT): State.UNCERTAIN_RECORDED,
    (State.SENT, Change.ADOPT): State.SENT_RECORDED,
    (State.CLOSED, Change.ADOPT): State.ABSENT,
    (State.BARRED, Change.ADOPT): State.ABSENT,
}


def diagram() -> str:
    """The table as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", "    [*] --> ABSENT"]
    lines += [f"    {state.name} --> {after.name}: {change.value}" for (state, change), after in TRANSITIONS.items()]
    return "\n".join(lines) + "\n"
