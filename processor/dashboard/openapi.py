"""The API's OpenAPI document. The pages show what the API tells."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from processor.core.outcomes import STANDINGS, arrival_name
from schemas.records import Arrival

__all__ = ["document"]

_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": ["string", "null"]}
_MONTH = {
    "name": "month",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^20[0-9]{2}-[01][0-9]$"},
}
_STANDINGS = dict.fromkeys(STANDINGS, _COUNT)
_MONTH_COUNTS = {"jobs": _COUNT, **_STANDINGS}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query(name: str, meaning: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": meaning, "schema": {"type": "string"}}


def _get(summary: str, schema: dict[str, Any], *parameters: dict[str, Any], kind: str = "application/json") -> Any:
    answers = {
        "200": {"description": summary, "content": {kind: {"schema": schema}}},
        "401": {"description": "a token is needed"},
    }
    if any(parameter["in"] == "path" for parameter in parameters):
        answers["404"] = {"description": "there is none"}
    return {"get": {"summary": summary, "parameters": list(parameters), "responses": answers}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    mail = _object(
        user_id=_TEXT,
        month=_TEXT,
        outcome={"enum": list(STANDINGS)},
        reason=_TEXT,
        since=_TEXT,
        address={**_TEXT, "description": "masked"},
        address_hash=_TEXT,
        attempt=_TEXT,
        message_id=_TEXT,
        feedback=_TEXT,
        arrival={"enum": [*Arrival, None], "description": "how far it came, by SES's events"},
    )
    letter = _object(place=_TEXT, key=_TEXT, reason=_TEXT, detail=_TEXT, state=_TEXT, at=_TEXT, value=_TEXT)
    month = _object(
        month=_TEXT,
        jobs=_COUNT,
        **_STANDINGS,
        sent_per_minute=_list(_object(at=_TEXT, mails=_COUNT)),
        allowed_per_s={"type": ["number", "null"]},
        quota_left={"type": ["integer", "null"]},
        expected_end=_TEXT,
        pending_by_partition={"type": "object"},
        dead_by_reason={"type": "object"},
        arrivals=_object(**{arrival_name(arrival): _COUNT for arrival in Arrival}),
        duplicates=_COUNT,
        processors=_list(_object(instance=_TEXT, host=_TEXT, partitions=_list(_COUNT))),
        behind={**_TEXT, "description": "why the numbers are not all there yet; null when they are"},
    )
    asked = [_query("month", "only this month"), _query("reason", "only this reason"), _query("state", "open, …")]
    paths = {
        "/api/months": _get(
            "every month, newest first", _list(_object(month=_TEXT, delivered=_COUNT, **_MONTH_COUNTS))
        ),
        "/api/month/{month}": _get("one month", month, _MONTH),
        "/api/mail": _get("mails of a user, an address or an address's hash", _list(mail), _query("q", "which")),
        "/api/mail/{month}/{user}": _get(
            "one mail's story", mail, _MONTH, _path("user"), _query("unmasked", "1: the whole address")
        ),
        "/api/dead-letters": _get(
            "dead letters, newest first", _object(count=_COUNT, by_reason={}, letters=_list(letter)), *asked
        ),
        "/api/dead-letters/{place}": _get("one dead letter with its bytes", letter, _path("place")),
        "/api/uncertain/{month}": _get("mails that are held", _list(mail), _MONTH),
        "/api/live/{month}": _get(
            "server-sent events: `month` with one month's numbers", {"type": "string"}, _MONTH, kind="text/event-stream"
        ),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "mailonce", "version": version("mailonce"), "description": "What became of each mail."},
        "security": [{}, {"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": paths,
    }
