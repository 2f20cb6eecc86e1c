"""A mail's request, or why there is none: its template is missing, its data does not fit, nobody can tell yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from processor.core.answer_codes import TEMPLATE_MISSING
from processor.core.answers import Halt, NotWritten, RefusedMessage, ServiceError, Verdict, classify
from processor.core.ticket import Attempt
from schemas.records import Job
from schemas.runtime.errors import BadRecord, Halted, SesAway

__all__ = ["Check", "Compose", "Making", "passes"]

Compose = Callable[[Attempt], Mapping[str, Any]]
"""Raises ``ValueError`` for what SES's limits forbid."""
Check = Callable[[Job], Awaitable[None]]
"""See `processor.ports.Templates.check`; asked for mails that could not be checked when they were read."""


async def passes(_job: Job) -> None:
    """Where every mail was checked before."""


class Making:
    """Makes requests."""

    def __init__(self, compose: Compose, check: Check) -> None:
        self._compose = compose
        self._check = check

    async def request(self, attempt: Attempt) -> Mapping[str, Any] | Verdict:
        """SendEmail's parameters, or what follows without a call."""
        ticket = attempt.ticket
        if ticket.lacks:
            return classify(ServiceError(404, "NotFoundException", ticket.lacks))
        try:
            if ticket.unchecked and ticket.job is not None:
                await self._check(ticket.job)
            return self._compose(attempt)
        except BadRecord as bad:
            return RefusedMessage(bad.code, bad.detail)
        except SesAway as away:
            return classify(NotWritten("unreachable", str(away)))
        except Halted as halted:
            return Halt(halted.reason, str(halted), own=halted.reason == TEMPLATE_MISSING)
        except ValueError as error:
            return classify(NotWritten("parameters", str(error)))
