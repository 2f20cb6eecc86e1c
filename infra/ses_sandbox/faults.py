"""Faults on demand: which address, how likely, how often, and what goes wrong. A seed repeats a run."""

from __future__ import annotations

import random
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

from infra.ses_sandbox.model import SesError

__all__ = ["Fault", "FaultKind", "Faults", "error_of"]


class FaultKind(StrEnum):
    THROTTLE = "throttle"
    QUOTA = "quota"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    REJECT = "reject"
    BAD_REQUEST = "bad_request"
    ERROR_500 = "error_500"
    ERROR_503 = "error_503"
    DROP = "drop"
    """Cut the connection before anything was accepted."""
    HANG = "hang"
    """Accept nothing, answer nothing."""
    ACCEPT_500 = "accept_500"
    ACCEPT_DROP = "accept_drop"
    ACCEPT_HANG = "accept_hang"
    ACCEPT_GARBLE = "accept_garble"
    """Accept, then 200 with a body that is no JSON."""
    ACCEPT_EMPTY = "accept_empty"
    """Accept, then 200 without a MessageId."""
    ACCEPT_CLOSE = "accept_close"
    """Accept, then 200 without a length: the answer ends with the connection."""
    ANSWER = "answer"
    """Accept nothing, answer with the rule's `status`, `code` and `message`."""
    LATENCY = "latency"

    @property
    def accepts(self) -> bool:
        return self.value.startswith("accept") or self is FaultKind.LATENCY


class Fault(msgspec.Struct, kw_only=True):
    """A rule. `count` is how often it may still strike; -1 for ever."""

    kind: FaultKind
    address: str = "*"
    probability: float = 1.0
    seed: int = 0
    count: int = -1
    latency_ms: float = 0
    status: int = 400
    code: str = ""
    message: str = ""


_ERRORS = {
    FaultKind.THROTTLE: (429, "TooManyRequestsException", "Maximum sending rate exceeded."),
    FaultKind.QUOTA: (400, "LimitExceededException", "Daily message quota exceeded."),
    FaultKind.PAUSED: (400, "SendingPausedException", "Email sending is disabled for this account."),
    FaultKind.SUSPENDED: (400, "AccountSuspendedException", "The account's ability to send email is suspended."),
    FaultKind.REJECT: (400, "MessageRejected", "The message contains content that Amazon SES refuses."),
    FaultKind.BAD_REQUEST: (400, "BadRequestException", "Illegal address"),
    FaultKind.ERROR_500: (500, "InternalServiceErrorException", "An internal error occurred."),
    FaultKind.ERROR_503: (503, "ServiceUnavailableException", "The service is unavailable."),
    FaultKind.ACCEPT_500: (500, "InternalServiceErrorException", "An internal error occurred."),
}


def error_of(fault: Fault) -> SesError | None:
    """The error answer of a fault that has one."""
    kind = fault.kind
    if kind is FaultKind.ANSWER:
        return SesError(fault.status, fault.code, fault.message)
    return SesError(*_ERRORS[kind]) if kind in _ERRORS else None


class Faults:
    """The rules in force, in order; the first that strikes counts."""

    def __init__(self) -> None:
        self._rules: list[tuple[Fault, random.Random]] = []

    def add(self, fault: Fault) -> None:
        self._rules.append((fault, random.Random(fault.seed)))  # noqa: S311 - repeatable on purpose

    def clear(self) -> None:
        self._rules.clear()

    def all(self) -> list[Fault]:
        return [fault for fault, _ in self._rules]

    def strike(self, addresses: list[str]) -> Fault | None:
        for fault, chance in self._rules:
            if fault.count == 0 or not any(fnmatchcase(address, fault.address) for address in addresses):
                continue
            if chance.random() < fault.probability:
                fault.count -= fault.count > 0
                return fault
        return None
