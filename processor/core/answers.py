"""What SES answered, as a value, and what it proves.

The list of what proves "not sent" is a whitelist: an answer that nobody listed is unknown, and an unknown answer is
never followed by a second call. Sources: botocore's SES v2 model, the SES developer guide's error pages, and faults
injected under boto3 (`tests/contracts/test_ses_sender.py`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

import msgspec

from processor.core.answer_codes import (
    HALT_CODES,
    MESSAGE_CODES,
    OWN_CODES,
    RATE_CODES,
    SIGNATURE_CODES,
    TEMPLATE_MISSING,
    TIME_CODES,
)

__all__ = [
    "Accepted",
    "Answer",
    "Halt",
    "NoQuota",
    "NotBegun",
    "NotWritten",
    "RefusedForNow",
    "RefusedMessage",
    "RetryClass",
    "ServiceError",
    "SignatureRefused",
    "Unanswered",
    "Unknown",
    "Verdict",
    "classify",
]


class RetryClass(StrEnum):
    """Why a call was refused for now; each has its back-off in the settings."""

    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"


# ---- what came back ----


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """HTTP 200 with a MessageId. It means accepted, not delivered."""

    message_id: str


class ServiceError(msgspec.Struct, frozen=True, gc=False):
    """An error answer that was read whole."""

    status: int
    code: str
    message: str


class NotWritten(msgspec.Struct, frozen=True, gc=False):
    """The client failed before a byte of the request left it.

    `kind` is ``unreachable``, ``certificate``, ``credentials``, ``forbidden``, ``parameters``, ``attachment`` (a file
    of this mail's) or ``attachments`` (their folder).
    """

    kind: str
    detail: str


class Unanswered(msgspec.Struct, frozen=True, gc=False):
    """The request, or part of it, may have left, and no readable answer came."""

    kind: str
    detail: str


Answer = Accepted | ServiceError | NotWritten | Unanswered


# ---- what follows ----


class RefusedMessage(msgspec.Struct, frozen=True, gc=False):
    """Not sent, and this message never will be: dead letter."""

    reason: str
    detail: str


class RefusedForNow(msgspec.Struct, frozen=True, gc=False):
    """Not sent; the same message may be tried again later."""

    retry: RetryClass
    detail: str


class NotBegun(msgspec.Struct, frozen=True, gc=False):
    """Not sent, for this process was not allowed to: no fault of the mail's, and no try of it."""

    detail: str


class NoQuota(msgspec.Struct, frozen=True, gc=False):
    """Not sent; the rolling 24 h quota is used up."""

    detail: str


class SignatureRefused(msgspec.Struct, frozen=True, gc=False):
    """Not sent: SES found the signature too old or too new. The call was held up, or a clock is wrong."""

    detail: str
    ahead_s: float | None = None
    """by how much the signature was ahead of SES's clock, seconds; negative: behind; None: it does not say"""


class Halt(msgspec.Struct, frozen=True, gc=False):
    """Not sent, and no other message would be: stop and call somebody."""

    reason: str
    detail: str
    own: bool = False
    """Whether it may be about something that this mail alone names (its template, an identity): then others' answers
    decide (`processor.core.suspects`)."""


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Nobody knows whether SES took it."""

    reason: str
    detail: str


Verdict = Accepted | RefusedMessage | RefusedForNow | NotBegun | NoQuota | SignatureRefused | Halt | Unknown

_QUOTA = re.compile(r"daily (message|sending) quota|24.hour (sending |message )?(quota|limit)", re.IGNORECASE)
_RATE = re.compile(r"maximum sending rate|rate exceeded|account throttled|request limit exceeded", re.IGNORECASE)
_NOT_VERIFIED = re.compile(r"not verified", re.IGNORECASE)
_MAIL_FROM = re.compile(r"mail from domain", re.IGNORECASE)
_PAUSED = re.compile(r"\bsending (is |has been )?(paused|disabled)\b", re.IGNORECASE)
_SUSPENDED = re.compile(r"account\b.*\b(suspended|disabled|shut ?down|permanently restricted)", re.IGNORECASE)
_MISSING = re.compile(r"^template\b.*\bdoes not exist", re.IGNORECASE)
_SET_MISSING = re.compile(r"^(configuration set|sending pool)\b.*\bdoes not exist", re.IGNORECASE)
_OLD = re.compile(r"signature (expired|not yet current)", re.IGNORECASE)
_SIGNED = re.compile(r"(\d{8}T\d{6}Z) is .*\((\d{8}T\d{6}Z) [-+]")
_TIME = "%Y%m%dT%H%M%SZ"


def classify(answer: Answer) -> Verdict:
    """What an answer proves."""
    match answer:
        case Accepted():
            return answer
        case Unanswered(kind, detail):
            return Unknown(kind, detail)
        case NotWritten(kind, detail):
            return _not_written(kind, detail)
        case ServiceError(status, code, message):
            return _service_error(status, code, message)
        case _ as never:
            assert_never(never)


def _not_written(kind: str, detail: str) -> Verdict:
    match kind:
        case "unreachable":
            return RefusedForNow(RetryClass.UNREACHABLE, detail)
        case "forbidden":
            return NotBegun(detail)
        case "parameters":
            return RefusedMessage("bad-request", detail)
        case "attachment":
            return RefusedMessage("bad-attachment", detail)
        case "attachments":
            return Halt("attachments-unreadable", detail)
        case "certificate" | "credentials":
            return Halt(kind, detail)
        case _:
            # Listed or unknown: a kind nobody listed proves nothing.
            return Unknown(kind, detail)


def _service_error(status: int, code: str, message: str) -> Verdict:
    detail = f"{code}: {message}"
    if not 400 <= status < 500 or status == 408:
        return Unknown(f"http-{status}", detail)
    return (
        _for_now(code, message, detail)
        or _every_message(code, message, detail)
        or _this_message(code, message, detail)
        or Unknown(f"unlisted-{code}", detail)
    )


def _for_now(code: str, message: str, detail: str) -> Verdict | None:
    # SES uses one code for rate and quota in places, so the text is looked at as well.
    if _QUOTA.search(message):
        return NoQuota(detail)
    # 429 without a code is a proxy's (RFC 6585, section 4): it passed nothing on.
    if code in RATE_CODES or _RATE.search(message) or code == "429":
        return RefusedForNow(RetryClass.THROTTLED, detail)
    if code == "LimitExceededException":
        # Of v2's model, without a text that it shares with nothing else: some limit, and not the daily one.
        return RefusedForNow(RetryClass.THROTTLED, detail) if message else NoQuota(detail)
    if code in TIME_CODES or (code in SIGNATURE_CODES and _OLD.search(message)):
        return SignatureRefused(detail, _off_s(message))
    return None


def _every_message(code: str, message: str, detail: str) -> Halt | None:
    """Refusals that are no fault of this mail's text; those that may be about what it alone names are its own."""
    listed = code in MESSAGE_CODES or code in OWN_CODES
    if listed and _PAUSED.search(message):
        return Halt("sending-paused", detail)
    if listed and _SUSPENDED.search(message):
        return Halt("account-suspended", detail)
    if listed and _SET_MISSING.search(message):
        return Halt(TEMPLATE_MISSING, detail)
    if listed and _MISSING.search(message):
        return Halt(TEMPLATE_MISSING, detail, own=True)
    if reason := HALT_CODES.get(code):
        return Halt(reason, detail)
    if reason := OWN_CODES.get(code):
        return Halt(reason, detail, own=True)
    if code == "MessageRejected" and _NOT_VERIFIED.search(message):
        return Halt("sender-not-verified", detail, own=not _MAIL_FROM.search(message))
    if code == "404" and _said(message):
        # A stand-in that has SES's paths and not its codes (aws-ses-v2-local): no such template.
        return Halt(TEMPLATE_MISSING, detail, own=True)
    return None


def _this_message(code: str, message: str, detail: str) -> RefusedMessage | None:
    if reason := MESSAGE_CODES.get(code):
        return RefusedMessage(reason, detail)
    if code == "400" and _said(message):
        # The same kind of stand-in; a 400 that says nothing may be anybody's.
        return RefusedMessage("bad-request", detail)
    return None


def _said(message: str) -> bool:
    """Whether it is a sentence of JSON, not nothing and not a page that a proxy wrote."""
    return bool(message) and not message.lstrip().startswith("<")


def _off_s(message: str) -> float | None:
    """By how much our clock is ahead of SES's, as the refusal tells: when it was signed, and when it was looked at."""
    found = _SIGNED.search(message)
    if found is None:
        return None
    signed, looked = (datetime.strptime(text, _TIME).replace(tzinfo=UTC) for text in found.groups())
    return (signed - looked).total_seconds()
