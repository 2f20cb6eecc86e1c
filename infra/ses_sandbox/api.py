"""The REST calls of SES v2 besides SendEmail, as far as mailonce and its operators use them."""

from __future__ import annotations

import time
from typing import Any

from infra.ses_sandbox import api_templates
from infra.ses_sandbox.model import SesError
from infra.ses_sandbox.routes import Answer, Api, Request, conflict, page, route

__all__ = ["Api", "api_templates"]


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
    shown, more = page(entries, request.query)
    return {"SuppressedDestinationSummaries": shown, **more}


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
    shown, more = page(sorted(api.store.kept.configuration_sets), request.query)
    return {"ConfigurationSets": shown, **more}


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
