"""SendEmail: what SES checks, in its order, and what it then accepts."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import getaddresses
from typing import Any

import msgspec

from infra.ses_sandbox.limits import Limits
from infra.ses_sandbox.model import AcceptedMail, SandboxSettings, SesError
from infra.ses_sandbox.options import attachments_of, options_of
from infra.ses_sandbox.store import Store
from schemas.addresses import address_problem, bare_address
from schemas.limits import TEMPLATE_DATA_BYTES_MAX, header_problem, tag_problem
from schemas.templates.handlebars import NotFilledIn, TemplateRefused

__all__ = ["SIMULATOR", "accept", "check_signature", "signature_text"]

SIMULATOR = "@simulator.amazonses.com"
RECIPIENTS_MAX = 50


def check_signature(authorization: str | None, amz_date: str | None, settings: SandboxSettings) -> None:
    """Refuses requests without a signature and those whose signature is too old (AWS allows 5 minutes either way)."""
    if not authorization or not authorization.startswith("AWS4-HMAC-SHA256 "):
        raise SesError(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    try:
        signed = datetime.strptime(amz_date or "", "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise SesError(403, "IncompleteSignature", "Date must be in ISO-8601 'basic format'.") from None
    age = time.time() - signed.timestamp()
    # The date has whole seconds only.
    if not -settings.signature_age_s - 1 <= age <= settings.signature_age_s + 1:
        raise SesError(
            403, "InvalidSignatureException", signature_text(amz_date or "", settings.signature_age_s, late=age > 0)
        )


def signature_text(signed: str, age_s: float, *, late: bool) -> str:
    """In AWS's words, both times among them."""
    now = datetime.now(UTC)
    bound, looked = (f"{at:%Y%m%dT%H%M%SZ}" for at in (now - timedelta(seconds=age_s if late else -age_s), now))
    minutes = f"{age_s / 60:g} min."
    if late:
        return f"Signature expired: {signed} is now earlier than {bound} ({looked} - {minutes})"
    return f"Signature not yet current: {signed} is still later than {bound} ({looked} + {minutes})"


def accept(body: dict[str, Any], store: Store, limits: Limits, n: int, fault: str) -> AcceptedMail:
    """The message SES would accept; raises `SesError` for what it would refuse."""
    settings, now_s = store.settings, time.time()
    _check_account(settings)
    to = _recipients(body)
    sender = str(body.get("FromEmailAddress", ""))
    tags = {str(tag.get("Name")): str(tag.get("Value")) for tag in body.get("EmailTags") or []}
    if problem := tag_problem(tags):
        raise SesError(400, "BadRequestException", f"Invalid tag: {problem}")
    _check_identities(store, sender, to)
    configuration_set = str(body.get("ConfigurationSetName") or "")
    if configuration_set and configuration_set not in store.kept.configuration_sets:
        raise SesError(404, "NotFoundException", f"Configuration set <{configuration_set}> does not exist.")
    if configuration_set in settings.paused_sets:
        raise SesError(
            400, "MessageRejected", "Sending paused for this configuration set. See the account's notifications."
        )
    options = options_of(body, store, len(to))
    content, headers = _content(body, store)
    attachments = [one for part in body["Content"].values() if part for one in attachments_of(part)]
    counted = [address for address in to if not address.endswith(SIMULATOR)]
    limits.check(len(to), now_s)
    limits.count(len(counted), now_s)
    return AcceptedMail(
        n=n,
        at_ms=int(now_s * 1000),
        message_id=f"{int(now_s * 1000):016x}-{uuid.uuid4()}-000000",
        sender=sender,
        to=to,
        tags=tags,
        headers=headers,
        attachments=attachments,
        options=options,
        configuration_set=configuration_set,
        fault=fault,
        **(content if settings.keep_bodies else content | {"html": "", "text": ""}),
    )


def _check_account(settings: SandboxSettings) -> None:
    if settings.suspended:
        raise SesError(400, "AccountSuspendedException", "The account's ability to send email is suspended.")
    if not settings.sending_enabled:
        raise SesError(400, "SendingPausedException", "Email sending is disabled for this account.")


def _recipients(body: dict[str, Any]) -> list[str]:
    destination = body.get("Destination") or {}
    to = [str(a) for name in ("ToAddresses", "CcAddresses", "BccAddresses") for a in destination.get(name) or []]
    if not to:
        raise SesError(400, "BadRequestException", "Missing required parameter: Destination")
    if len(to) > RECIPIENTS_MAX:
        raise SesError(400, "BadRequestException", f"Recipient count exceeds {RECIPIENTS_MAX}.")
    for address in to:
        if address_problem(bare_address(address)):
            raise SesError(400, "BadRequestException", "Illegal address")
    return to


def _check_identities(store: Store, sender: str, to: list[str]) -> None:
    if not sender.isascii() or len(getaddresses([sender])) != 1:
        raise SesError(400, "BadRequestException", "Missing final '@domain'")
    unverified = [] if store.is_verified(sender) else [sender]
    if not store.settings.production_access:
        unverified += [a for a in to if not a.endswith(SIMULATOR) and not store.is_verified(a)]
    if unverified:
        raise SesError(
            400,
            "MessageRejected",
            "Email address is not verified. The following identities failed the check in region US-EAST-1: "
            + ", ".join(unverified),
        )


def _content(body: dict[str, Any], store: Store) -> tuple[dict[str, str], dict[str, str]]:
    content = body.get("Content") or {}
    part = content.get("Template") or content.get("Simple")
    if part is None:
        raise SesError(
            400, "BadRequestException", "Content must be Simple or Template (raw messages are not emulated)."
        )
    headers = {str(h.get("Name")): str(h.get("Value")) for h in part.get("Headers") or []}
    if len(part.get("Headers") or []) != len(headers) or (problem := header_problem(headers)):
        raise SesError(400, "BadRequestException", f"Invalid header: {problem if headers else 'repeated'}")
    if "Template" in content:
        return _templated(part, store), headers
    bodies = part.get("Body") or {}
    return {
        "subject": str((part.get("Subject") or {}).get("Data", "")),
        "html": str((bodies.get("Html") or {}).get("Data", "")),
        "text": str((bodies.get("Text") or {}).get("Data", "")),
    }, headers


def _templated(part: dict[str, Any], store: Store) -> dict[str, str]:
    name, data = str(part.get("TemplateName") or ""), str(part.get("TemplateData") or "{}")
    store.template(name)
    if len(data.encode()) > TEMPLATE_DATA_BYTES_MAX:
        raise SesError(400, "BadRequestException", "TemplateData is too large.")
    try:
        subject, html, text = store.render(name, msgspec.json.decode(data, type=dict[str, Any]))
    except (KeyError, msgspec.DecodeError, NotFilledIn, TemplateRefused) as error:
        # SES accepts it all the same and tells of it only by an event.
        why = f"Attribute {error} is not present in the rendering data." if isinstance(error, KeyError) else str(error)
        return {"template": name, "subject": "", "not_delivered": f"Rendering Failure: {why}"}
    return {"template": name, "subject": subject, "html": html, "text": text}
