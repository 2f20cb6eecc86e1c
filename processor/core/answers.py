"""What SES answered, as a value, and what it proves.

The list of what proves "not sent" is a whitelist: an answer that nobody listed is unknown, and an unknown answer is
never followed by a second call. Sources: botocore's SES v2 model, the SES developer guide's error pages, and faults
injected under boto3 (`tests/contracts/test_ses_sender.py`).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import assert_never

import msgspec

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

    `kind` is ``unreachable``, ``certificate``, ``credentials``, ``forbidden`` or ``parameters``.
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


class Halt(msgspec.Struct, frozen=True, gc=False):
    """Not sent, and no other message would be: stop and call somebody."""

    reason: str
    detail: str


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Nobody knows whether SES took it."""

    reason: str
    detail: str


Verdict = Accepted | RefusedMessage | RefusedForNow | NotBegun | NoQuota | Halt | Unknown

_QUOTA = re.compile(r"daily (message|sending) quota", re.IGNORECASE)
_RATE = re.compile(r"maximum sending rate|rate exceeded", re.IGNORECASE)
_NOT_VERIFIED = re.compile(r"not verified", re.IGNORECASE)

_RATE_CODES = {"TooManyRequestsException", "ThrottlingException", "Throttling"}
_HALT_CODES = {
    "AccountSuspendedException": "account-suspended",
    "SendingPausedException": "sending-paused",
    "AccountSendingPausedException": "sending-paused",
    "ConfigurationSetSendingPausedException": "sending-paused",
    "MailFromDomainNotVerifiedException": "sender-not-verified",
    "NotFoundException": "template-or-configuration-set-missing",
    "TemplateDoesNotExistException": "template-or-configuration-set-missing",
    "ConfigurationSetDoesNotExistException": "template-or-configuration-set-missing",
    "AccessDeniedException": "credentials",
    "UnrecognizedClientException": "credentials",
    "InvalidClientTokenId": "credentials",
    "InvalidSignatureException": "credentials",
    "SignatureDoesNotMatch": "credentials",
    "IncompleteSignature": "credentials",
    "MissingAuthenticationToken": "credentials",
    "MissingAuthenticationTokenException": "credentials",
    "ExpiredToken": "credentials",
    "ExpiredTokenException": "credentials",
    "OptInRequired": "credentials",
    "NotAuthorized": "credentials",
}
_MESSAGE_CODES = {
    "MessageRejected": "message-rejected",
    "BadRequestException": "bad-request",
    "InvalidParameterValue": "bad-request",
    "ValidationError": "bad-request",
    "ValidationException": "bad-request",
    "MalformedHttpRequest": "bad-request",
    "RequestEntityTooLarge": "too-large",
    "RequestEntityTooLargeException": "too-large",
    "InvalidTemplateException": "template-data",
    "MissingRenderingAttributeException": "template-data",
    "InvalidRenderingParameterException": "template-data",
}
_SIGNATURE_AGE_CODES = {"RequestExpired", "SignatureDoesNotMatch", "InvalidSignatureException"}


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
        case "certificate" | "credentials":
            return Halt(kind, detail)
        case _:
            # Listed or unknown: a kind nobody listed proves nothing.
            return Unknown(kind, detail)


def _service_error(status: int, code: str, message: str) -> Verdict:
    detail = f"{code}: {message}"
    if not 400 <= status < 500 or status == 408:
        return Unknown(f"http-{status}", detail)
    # SES uses one code for rate and quota in places, so the text is looked at as well.
    if _QUOTA.search(message):
        return NoQuota(detail)
    if code in _RATE_CODES or _RATE.search(message):
        return RefusedForNow(RetryClass.THROTTLED, detail)
    if code == "LimitExceededException":
        return NoQuota(detail)
    if code in _SIGNATURE_AGE_CODES and "expired" in message.lower():
        # A call that was held up until its signature was too old: certainly not sent, and worth another try.
        return RefusedForNow(RetryClass.UNREACHABLE, detail)
    if reason := _HALT_CODES.get(code):
        return Halt(reason, detail)
    if code == "MessageRejected" and _NOT_VERIFIED.search(message):
        return Halt("sender-not-verified", detail)
    if reason := _MESSAGE_CODES.get(code):
        return RefusedMessage(reason, detail)
    return Unknown(f"unlisted-{code}", detail)
