"""The REST calls of SES v2 about templates."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import msgspec

from infra.ses_sandbox.model import SesError
from infra.ses_sandbox.routes import Answer, Api, Request, conflict, page, route
from schemas.templates.handlebars import NotFilledIn, TemplateRefused, check

__all__: list[str] = []

_TEMPLATES_MAX = 20_000


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
    shown, more = page(entries, request.query, 10)
    return {"TemplatesMetadata": shown, **more}


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
