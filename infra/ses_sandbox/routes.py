"""How a REST call of SES v2 finds who answers it; the calls themselves are in `api` and `api_templates`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from infra.ses_sandbox.limits import Limits
from infra.ses_sandbox.model import SesError
from infra.ses_sandbox.store import Store

__all__ = ["Answer", "Api", "Request", "conflict", "page", "route"]

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A call's JSON body, its query, and the names in its path."""

    body: dict[str, Any]
    query: dict[str, str]
    names: list[str]


Call = Callable[["Api", Request], Answer]
_routes: list[tuple[str, re.Pattern[str], Call]] = []


def route(method: str, path: str) -> Callable[[Call], Call]:
    """Registers a call under its method and path; ``*`` is a path part given to it."""

    def register(call: Call) -> Call:
        _routes.append((method, re.compile("/v2/email" + path.replace("*", "([^/]+)") + "/?"), call))
        return call

    return register


class Api:
    """One account's calls."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.store = store
        self.limits = limits

    def call(self, method: str, path: str, query: dict[str, str], body: bytes) -> Answer:
        """The answer's JSON; raises `SesError`."""
        for wanted, pattern, call in _routes:
            if wanted == method and (match := pattern.fullmatch(path)):
                try:
                    parsed = msgspec.json.decode(body, type=dict[str, Any]) if body else {}
                except msgspec.DecodeError:
                    raise SesError(400, "BadRequestException", "The request body is not JSON.") from None
                return call(self, Request(parsed, query, [unquote(part) for part in match.groups()]))
        raise SesError(404, "UnknownOperationException", f"The sandbox does not emulate {method} {path}.")


def conflict(what: str) -> SesError:
    return SesError(400, "AlreadyExistsException", f"{what} already exists.")


def page(entries: list[Any], query: dict[str, str], size: int = 1000) -> tuple[list[Any], dict[str, str]]:
    first, count = int(query.get("NextToken", "0")), int(query.get("PageSize", size))
    more = {"NextToken": str(first + count)} if first + count < len(entries) else {}
    return entries[first : first + count], more
