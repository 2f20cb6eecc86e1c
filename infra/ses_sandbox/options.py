"""SendEmail's parameters besides sender, recipients and content: checked as SES does, and kept with the message."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

from infra.ses_sandbox.model import Attached, SesError
from infra.ses_sandbox.store import Store
from schemas.addresses import address_problem, bare_address
from schemas.attachments import MESSAGE_BYTES_MAX, attachment_problem, encoded_bytes

__all__ = ["attachments_of", "options_of"]

_ARN = re.compile(r"arn:[\w-]+:ses:[\w-]+:\d{12}:identity/(\S+)")
_ENCODINGS = {"BASE64", "QUOTED_PRINTABLE", "SEVEN_BIT"}
_KEPT = (
    "ReplyToAddresses",
    "FromEmailAddressIdentityArn",
    "FeedbackForwardingEmailAddress",
    "TenantName",
    "EndpointId",
    "ListManagementOptions",
)


def _bad(what: str) -> SesError:
    return SesError(400, "BadRequestException", what)


def options_of(body: dict[str, Any], store: Store, recipients: int) -> dict[str, Any]:
    """Those that are there; raises `SesError`."""
    found = {name: body[name] for name in _KEPT if body.get(name)}
    for address in [*found.get("ReplyToAddresses", []), *_one(found, "FeedbackForwardingEmailAddress")]:
        if address_problem(bare_address(str(address))):
            raise _bad("Illegal address")
    for arn in _one(found, "FromEmailAddressIdentityArn"):
        named = _ARN.fullmatch(str(arn))
        if named is None:
            raise _bad(f"{arn} is not a valid identity ARN.")
        if not store.is_verified(named[1]):
            raise SesError(400, "MessageRejected", f"Email address is not verified. Identity {arn}")
    for tenant in _one(found, "TenantName"):
        if tenant not in store.kept.tenants:
            raise SesError(404, "NotFoundException", f"Tenant <{tenant}> does not exist.")
    for managed in _one(found, "ListManagementOptions"):
        _check_list(managed, store, recipients)
    return found


def _one(found: dict[str, Any], name: str) -> list[Any]:
    return [found[name]] if name in found else []


def _check_list(managed: Any, store: Store, recipients: int) -> None:
    name, topic = str(managed.get("ContactListName") or ""), managed.get("TopicName")
    if name not in store.kept.contact_lists:
        raise SesError(404, "NotFoundException", f"List with name: {name} doesn't exist.")
    if topic and topic not in store.kept.contact_lists[name]:
        raise _bad(f"Topic {topic} does not exist in list {name}.")
    if recipients != 1:
        raise _bad("Only one recipient is supported when ListManagementOptions is used.")


def attachments_of(part: dict[str, Any]) -> list[Attached]:
    """A content's; raises `SesError`."""
    found = [_attached(one) for one in part.get("Attachments") or []]
    if sum(encoded_bytes(one.size) for one in found) > MESSAGE_BYTES_MAX:
        raise SesError(400, "MessageRejected", f"Message length is more than {MESSAGE_BYTES_MAX} bytes long.")
    return found


def _attached(one: dict[str, Any]) -> Attached:
    name, kind = str(one.get("FileName") or ""), str(one.get("ContentType") or "application/octet-stream")
    disposition, content_id = str(one.get("ContentDisposition") or "ATTACHMENT"), str(one.get("ContentId") or "")
    if problem := attachment_problem(name, kind, content_id):
        raise _bad(f"Invalid attachment: {problem}")
    if disposition not in {"ATTACHMENT", "INLINE"} or one.get("ContentTransferEncoding", "BASE64") not in _ENCODINGS:
        raise _bad("Invalid attachment: ContentDisposition or ContentTransferEncoding is none of its values.")
    try:
        content = base64.b64decode(str(one.get("RawContent") or ""), validate=True)
    except (binascii.Error, ValueError):
        raise SesError(400, "SerializationException", "RawContent is not base64.") from None
    if not content:
        raise _bad("Invalid attachment: RawContent is empty.")
    return Attached(name, kind, disposition, content_id, len(content), hashlib.sha256(content).hexdigest())
