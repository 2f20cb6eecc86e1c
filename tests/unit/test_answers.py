"""What SES's answers prove. The list of what proves "not sent" is a whitelist."""

from __future__ import annotations

import pytest

from processor.core.answers import (
    Accepted,
    Answer,
    Halt,
    NoQuota,
    NotBegun,
    NotWritten,
    RefusedForNow,
    RefusedMessage,
    RetryClass,
    ServiceError,
    SignatureRefused,
    Unanswered,
    Unknown,
    classify,
)

CASES: list[tuple[Answer, type, str]] = [
    (Accepted("m"), Accepted, ""),
    # rate
    (ServiceError(429, "TooManyRequestsException", "Maximum sending rate exceeded."), RefusedForNow, "throttled"),
    (ServiceError(400, "Throttling", "Maximum sending rate exceeded."), RefusedForNow, "throttled"),
    (ServiceError(400, "ThrottlingException", "Rate exceeded"), RefusedForNow, "throttled"),
    (ServiceError(400, "SomethingNew", "Maximum sending rate exceeded."), RefusedForNow, "throttled"),
    # quota, whatever its code
    (ServiceError(400, "LimitExceededException", "Daily message quota exceeded."), NoQuota, ""),
    (ServiceError(400, "LimitExceededException", ""), NoQuota, ""),
    (ServiceError(400, "LimitExceededException", "Too many."), RefusedForNow, "throttled"),
    (ServiceError(400, "Throttling", "Daily message quota exceeded."), NoQuota, ""),
    (ServiceError(429, "TooManyRequestsException", "Daily message quota exceeded."), NoQuota, ""),
    # every message
    (ServiceError(400, "AccountSuspendedException", ""), Halt, "account-suspended"),
    (ServiceError(400, "SendingPausedException", ""), Halt, "sending-paused"),
    (ServiceError(400, "MailFromDomainNotVerifiedException", ""), Halt, "sender-not-verified"),
    (
        ServiceError(404, "NotFoundException", "Template x does not exist"),
        Halt,
        "template-or-configuration-set-missing",
    ),
    (ServiceError(403, "AccessDeniedException", ""), Halt, "credentials"),
    (ServiceError(403, "ExpiredTokenException", "expired"), Halt, "credentials"),
    (ServiceError(400, "MessageRejected", "Email address is not verified."), Halt, "sender-not-verified"),
    (NotWritten("credentials", ""), Halt, "credentials"),
    (NotWritten("certificate", ""), Halt, "certificate"),
    (ServiceError(400, "MessageRejected", "Sending paused for this account."), Halt, "sending-paused"),
    (ServiceError(400, "MessageRejected", "This AWS account has been suspended."), Halt, "account-suspended"),
    (
        ServiceError(404, "NotFoundException", "Configuration set <x> does not exist."),
        Halt,
        "template-or-configuration-set-missing",
    ),
    (
        ServiceError(400, "BadRequestException", "Template x does not exist"),
        Halt,
        "template-or-configuration-set-missing",
    ),
    (ServiceError(404, "404", "Template not found"), Halt, "template-or-configuration-set-missing"),
    (ServiceError(407, "407", "<html>"), Halt, "proxy"),
    # this message
    (ServiceError(400, "400", "Bad Request Exception"), RefusedMessage, "bad-request"),
    (ServiceError(400, "MessageRejected", "virus"), RefusedMessage, "message-rejected"),
    (ServiceError(400, "BadRequestException", "Illegal address"), RefusedMessage, "bad-request"),
    (ServiceError(413, "RequestEntityTooLargeException", ""), RefusedMessage, "too-large"),
    (NotWritten("parameters", ""), RefusedMessage, "bad-request"),
    # nothing was written
    (NotWritten("unreachable", ""), RefusedForNow, "unreachable"),
    (NotWritten("forbidden", ""), NotBegun, ""),
    (ServiceError(403, "InvalidSignatureException", "Signature expired: …"), SignatureRefused, ""),
    # doubt
    (ServiceError(500, "InternalServiceErrorException", ""), Unknown, "http-500"),
    (ServiceError(503, "ServiceUnavailable", ""), Unknown, "http-503"),
    (ServiceError(503, "TooManyRequestsException", "Maximum sending rate exceeded."), Unknown, "http-503"),
    (ServiceError(408, "RequestTimeout", ""), Unknown, "http-408"),
    (ServiceError(400, "RequestAbortedException", ""), Unknown, "unlisted-RequestAbortedException"),
    (ServiceError(404, "404", "<html>"), Unknown, "unlisted-404"),
    (ServiceError(200, "", ""), Unknown, "http-200"),
    (ServiceError(0, "", ""), Unknown, "http-0"),
    (ServiceError(302, "", ""), Unknown, "http-302"),
    (Unanswered("ReadTimeoutError", ""), Unknown, "ReadTimeoutError"),
    (NotWritten("a kind nobody listed", ""), Unknown, "a kind nobody listed"),
]


@pytest.mark.parametrize(("answer", "kind", "name"), CASES, ids=[str(case[0])[:60] for case in CASES])
def test_every_answer_has_its_class(answer: Answer, kind: type, name: str) -> None:
    """G1, G2: each row of the table of answers."""
    verdict = classify(answer)
    assert type(verdict) is kind
    if name:
        assert name in {getattr(verdict, "reason", None), str(getattr(verdict, "retry", None))}


@pytest.mark.parametrize(
    ("text", "ahead_s"),
    [
        ("Signature expired: 20261126T155000Z is now earlier than 20261126T155500Z (20261126T160000Z - 5 min.)", -600),
        (
            "Signature not yet current: 20261126T170000Z is still later than 20261126T160500Z (20261126T160000Z + 5 min.)",
            3600,
        ),
        ("Signature expired", None),
    ],
)
def test_by_how_much_a_clock_is_off(text: str, ahead_s: float | None) -> None:
    """SES names both times: when it was signed, and when it looked."""
    verdict = classify(ServiceError(403, "InvalidSignatureException", text))
    assert isinstance(verdict, SignatureRefused)
    assert verdict.ahead_s == ahead_s


@pytest.mark.parametrize("code", ["Accepted", "OK", "", "InternalFailure", "Zzz"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500, 599])
def test_what_nobody_listed_is_doubt(status: int, code: str) -> None:
    """G1: an unlisted answer never proves "not sent"."""
    assert isinstance(classify(ServiceError(status, code, "?")), Unknown)


def test_retry_classes_have_settings() -> None:
    """Each class of refusal has its back-off in the settings."""
    from schemas.runtime.backoff import RetryTable

    assert {str(name) for name in RetryClass} == set(RetryTable.model_fields)
