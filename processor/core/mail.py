"""A job as the parameters of SES's SendEmail: one recipient, tags that name the attempt, headers and SES's options."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from schemas.codec import template_data
from schemas.identity import TAG_SOURCE, Key, Place, message_tags
from schemas.limits import TEMPLATE_DATA_BYTES_MAX, header_problem, tag_problem
from schemas.records import Job
from schemas.templates.data import AS_IT_IS, Form

__all__ = ["MailConfig", "compose", "template_content", "unsubscribe_token"]

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class MailConfig:
    """What all mails of this processor share, or all of a template."""

    from_address: str
    reply_to_address: str = ""
    configuration_set: str = ""
    unsubscribe_url: str = ""
    installation: str = ""
    """whose mails they are; empty: they carry no such tag"""
    unsubscribe_secret: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    """further ones, names in braces filled in"""
    options: Mapping[str, Any] = field(default_factory=dict)
    """further parameters of SendEmail, as they are"""


def template_content(job: Job, form: Form = AS_IT_IS) -> dict[str, Any]:
    """SES's ``Content`` for a template that SES keeps; raises ``ValueError`` when the data is more than SES takes.

    Args:
        job: whose mail.
        form: how the template wants its data.
    """
    data = template_data(job, form)
    if form != AS_IT_IS and len(data) > TEMPLATE_DATA_BYTES_MAX // 4 and len(data.encode()) > TEMPLATE_DATA_BYTES_MAX:
        raise ValueError(f"data: with its values escaped more than {TEMPLATE_DATA_BYTES_MAX} bytes, SES's limit")
    return {"Template": {"TemplateName": job.template, "TemplateData": data}}


def compose(
    job: Job, attempt: str, place: Place, config: MailConfig, content: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Keyword arguments for ``sesv2.send_email``; raises ``ValueError`` for what SES's limits forbid.

    Args:
        job: whose mail.
        attempt: its id.
        place: the job's.
        config: what all mails share.
        content: SES's ``Content``; the job's template unless given.
    """
    key = Key(job.user_id, job.month)
    tags = message_tags(key, attempt, config.installation) | {TAG_SOURCE: place.to_tag()}
    headers = _unsubscribe_headers(job, config) | {
        name: _filled(text, job, config, f"header {name}", url=False) for name, text in config.headers.items()
    }
    if problem := tag_problem(tags) or header_problem(headers):
        raise ValueError(problem)
    content = content or template_content(job)
    if headers:
        (body,) = content.values()
        body["Headers"] = [{"Name": name, "Value": value} for name, value in headers.items()]
    request: dict[str, Any] = {
        "FromEmailAddress": config.from_address,
        "Destination": {"ToAddresses": [job.email]},
        "Content": content,
        "EmailTags": [{"Name": name, "Value": value} for name, value in tags.items()],
    }
    if config.reply_to_address:
        request["ReplyToAddresses"] = [config.reply_to_address]
    if config.configuration_set:
        request["ConfigurationSetName"] = config.configuration_set
    return {**request, **config.options}


def unsubscribe_token(secret: str, user_id: str) -> str:
    """What only who knows the secret can make: base64url, without padding, of HMAC-SHA256 over the user id's UTF-8."""
    signed = hmac.digest(secret.encode(), user_id.encode(), "sha256")
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def _unsubscribe_headers(job: Job, config: MailConfig) -> dict[str, str]:
    """RFC 8058's pair, which Gmail and Yahoo ask of bulk senders."""
    if not config.unsubscribe_url:
        return {}
    filled = _filled(config.unsubscribe_url, job, config, "the unsubscribe URL", url=True)
    return {"List-Unsubscribe": f"<{filled}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def _filled(text: str, job: Job, config: MailConfig, what: str, *, url: bool) -> str:
    """With the job's values in the place of names in braces; raises ``ValueError`` naming what the job lacks."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name == "token" and url:
            return unsubscribe_token(config.unsubscribe_secret, job.user_id)
        own = {"user_id": job.user_id, "month": job.month}.get(name, job.data.get(name))
        if not isinstance(own, str | int | float) or own == "":
            raise ValueError(f"data: {what} needs {name}, which the job lacks")
        return quote(str(own), safe="") if url else str(own)

    return _PLACEHOLDER.sub(value, text)
