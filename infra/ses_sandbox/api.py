"""The REST calls of SES v2 besides SendEmail, as far as mailonce and its operators use them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote

import msgspec

from infra.ses_sandbox.limits import Limits
from infra.ses_sandbox.model import SesError
from infra.ses_sandbox.store import Store
from schemas.templates.handlebars import NotFilledIn, TemplateRefused, check

__all__ = ["Answer", "Api", "Request", "conflict", "route"]

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A call's JSON body, its query, and the names in its path."""

    body: dict[str, Any]
    query: dict[str, str]
    names: list[str]


Call = Callable[["Api", Request], Answer]
_routes: list[tuple[str, re.Pattern[str], Call]] = []

_TEMPLATES_MAX = 20_000


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


def _page(entries: list[Any], query: dict[str, str], size: int = 1000) -> tuple[list[Any], dict[str, str]]:
    first, count = int(query.get("NextToken", "0")), int(query.get("PageSize", size))
    more = {"NextToken": str(first + count)} if first + count < len(entries) else {}
    return entries[first : first + count], more


# ---- account ----


@route("GET", "/account")
def _get_account(api: Api, _request: Request) -> Answer:
    settings = api.store.settings
    return {
        "DedicatedIpAutoWarmupEnabled": False,
        "EnforcementStatus": "SHUTDOWN" if settings.suspended else "HEALTHY",
        "ProductionAccessEnabled": settings.production_access,
        "SendingEnabled": settings.sending_enabled and not settings.suspended,
        "SendQuota": {
            "Max24HourSend": settings.max_24_hour_send,
            "MaxSendRate": settings.max_send_rate,
            "SentLast24Hours": float(api.limits.sent_in_window(time.time())),
        },
        "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
    }


# ---- templates ----


@route("POST", "/templates")
def _create_template(api: Api, request: Request) -> Answer:
    name = str(request.body.get("TemplateName") or "")
    if not name:
        raise SesError(400, "BadRequestException", "TemplateName is required.")
    if name in api.store.kept.templates:
        raise conflict(f"Template {name}")
    if len(api.store.kept.templates) >= _TEMPLATES_MAX:
        raise SesError(400, "LimitExceededException", f"There are {_TEMPLATES_MAX} templates already.")
    _keep_template(api, name, request.body)
    return {}


def _keep_template(api: Api, name: str, body: dict[str, Any]) -> None:
    content = body.get("TemplateContent") or {}
    if not any(content.get(part) for part in ("Subject", "Html", "Text")):
        raise SesError(400, "BadRequestException", "TemplateContent needs a Subject, Html or Text.")
    kept = {part: str(content[part]) for part in ("Subject", "Html", "Text") if content.get(part)}
    for part, text in kept.items():
        try:
            check(text)
        except TemplateRefused as why:
            raise SesError(
                400, "BadRequestException", f"The sandbox cannot render this template: {part}, {why}"
            ) from None
    api.store.kept.templates[name] = kept | {"_created": datetime.now(UTC).isoformat()}
    api.store.save()


@route("GET", "/templates")
def _list_templates(api: Api, request: Request) -> Answer:
    entries = [
        {"TemplateName": name, "CreatedTimestamp": datetime.fromisoformat(content["_created"]).timestamp()}
        for name, content in sorted(api.store.kept.templates.items())
    ]
    page, more = _page(entries, request.query, 10)
    return {"TemplatesMetadata": page, **more}


@route("GET", "/templates/*")
def _get_template(api: Api, request: Request) -> Answer:
    content = api.store.template(request.names[0])
    return {"TemplateName": request.names[0], "TemplateContent": {k: v for k, v in content.items() if k != "_created"}}


@route("PUT", "/templates/*")
def _update_template(api: Api, request: Request) -> Answer:
    api.store.template(request.names[0])
    _keep_template(api, request.names[0], request.body)
    return {}


@route("DELETE", "/templates/*")
def _delete_template(api: Api, request: Request) -> Answer:
    api.store.kept.templates.pop(request.names[0], None)
    api.store.save()
    return {}


@route("POST", "/templates/*/render")
def _test_render(api: Api, request: Request) -> Answer:
    try:
        data = msgspec.json.decode(str(request.body.get("TemplateData") or "{}"), type=dict[str, Any])
        subject, html, text = api.store.render(request.names[0], data)
    except KeyError as error:
        raise SesError(400, "BadRequestException", f"Attribute {error} is not present in the rendering data.") from None
    except msgspec.DecodeError as error:
        raise SesError(400, "BadRequestException", f"TemplateData is not JSON: {error}") from None
    except (NotFilledIn, TemplateRefused) as error:
        raise SesError(400, "BadRequestException", f"The sandbox cannot render this template: {error}") from None
    return {"RenderedTemplate": _as_mime(subject, html, text)}


def _as_mime(subject: str, html: str, text: str) -> str:
    """As SES answers: headers, and the parts there are as alternatives."""
    message = EmailMessage()
    message["Subject"] = subject
    if text or not html:
        message.set_content(text)
        if html:
            message.add_alternative(html, subtype="html")
    else:
        message.set_content(html, subtype="html")
    return message.as_string()


# ---- suppression list ----


@route("PUT", "/suppression/addresses")
def _suppress(api: Api, request: Request) -> Answer:
    reason = str(request.body.get("Reason") or "")
    if reason not in {"BOUNCE", "COMPLAINT"} or not request.body.get("EmailAddress"):
        raise SesError(400, "BadRequestException", "EmailAddress and Reason (BOUNCE or COMPLAINT) are required.")
    api.store.kept.suppressed[str(request.body["EmailAddress"]).lower()] = reason
    api.store.save()
    return {}


@route("GET", "/suppression/addresses")
def _list_suppressed(api: Api, request: Request) -> Answer:
    if api.store.settings.missing_reads:
        raise SesError(404, "UnknownOperationException", "This emulator has no suppression list.")
    entries = [
        {"EmailAddress": address, "Reason": reason, "LastUpdateTime": 0.0}
        for address, reason in sorted(api.store.kept.suppressed.items())
    ]
    page, more = _page(entries, request.query)
    return {"SuppressedDestinationSummaries": page, **more}


@route("GET", "/suppression/addresses/*")
def _get_suppressed(api: Api, request: Request) -> Answer:
    address = request.names[0].lower()
    if address not in api.store.kept.suppressed:
        raise SesError(404, "NotFoundException", f"{address} is not on the suppression list.")
    reason = api.store.kept.suppressed[address]
    return {"SuppressedDestination": {"EmailAddress": address, "Reason": reason, "LastUpdateTime": 0.0}}


@route("DELETE", "/suppression/addresses/*")
def _unsuppress(api: Api, request: Request) -> Answer:
    if api.store.kept.suppressed.pop(request.names[0].lower(), None) is None:
        raise SesError(404, "NotFoundException", f"{request.names[0]} is not on the suppression list.")
    api.store.save()
    return {}


# ---- configuration sets and event destinations ----


@route("POST", "/configuration-sets")
def _create_set(api: Api, request: Request) -> Answer:
    name = str(request.body.get("ConfigurationSetName") or "")
    if not name:
        raise SesError(400, "BadRequestException", "ConfigurationSetName is required.")
    if name in api.store.kept.configuration_sets:
        raise conflict(f"Configuration set <{name}>")
    api.store.kept.configuration_sets[name] = []
    api.store.save()
    return {}


@route("GET", "/configuration-sets")
def _list_sets(api: Api, request: Request) -> Answer:
    page, more = _page(sorted(api.store.kept.configuration_sets), request.query)
    return {"ConfigurationSets": page, **more}


def _destinations(api: Api, name: str) -> list[dict[str, Any]]:
    if name not in api.store.kept.configuration_sets:
        raise SesError(404, "NotFoundException", f"Configuration set <{name}> does not exist.")
    return api.store.kept.configuration_sets[name]


@route("GET", "/configuration-sets/*")
def _get_set(api: Api, request: Request) -> Answer:
    if api.store.settings.missing_reads:
        raise SesError(404, "UnknownOperationException", "This emulator has no configuration sets to read.")
    _destinations(api, request.names[0])
    enabled = request.names[0] not in api.store.settings.paused_sets
    return {"ConfigurationSetName": request.names[0], "SendingOptions": {"SendingEnabled": enabled}}


@route("PUT", "/configuration-sets/*/sending")
def _set_sending(api: Api, request: Request) -> Answer:
    _destinations(api, name := request.names[0])
    others = [one for one in api.store.settings.paused_sets if one != name]
    api.store.settings.paused_sets = others if request.body.get("SendingEnabled") else [*others, name]
    api.store.save()
    return {}


@route("DELETE", "/configuration-sets/*")
def _delete_set(api: Api, request: Request) -> Answer:
    _destinations(api, request.names[0])
    del api.store.kept.configuration_sets[request.names[0]]
    api.store.save()
    return {}


@route("POST", "/configuration-sets/*/event-destinations")
def _add_destination(api: Api, request: Request) -> Answer:
    destinations = _destinations(api, request.names[0])
    if any(entry["Name"] == request.body.get("EventDestinationName") for entry in destinations):
        raise conflict("Event destination")
    wanted = dict(request.body.get("EventDestination") or {})
    destinations.append({"Enabled": False, **wanted, "Name": str(request.body.get("EventDestinationName"))})
    api.store.save()
    return {}


@route("GET", "/configuration-sets/*/event-destinations")
def _list_destinations(api: Api, request: Request) -> Answer:
    return {"EventDestinations": _destinations(api, request.names[0])}
