"""A job as the parameters of SES's SendEmail: one recipient, tags that name the attempt, headers and SES's options."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from schemas.codec import template_data
from schemas.identity import TAG_SOURCE, Key, Place, message_tags
from schemas.limits import TEMPLATE_DATA_BYTES_MAX, header_problem, tag_problem
from schemas.records import Job
from schemas.templates.data import AS_IT_IS, Form

__all__ = ["MailConfig", "compose", "file_part", "filled", "lacks", "template_content", "unsubscribe_token"]

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_NO_FILE_PART = re.compile(r"[\x00-\x1f\x7f/\\:]")


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
    job: Job,
    attempt: str,
    place: Place,
    config: MailConfig,
    content: dict[str, Any] | None = None,
    attachments: Sequence[Any] = (),
) -> dict[str, Any]:
    """Keyword arguments for ``sesv2.send_email``; raises ``ValueError`` for what SES's limits forbid.

    Args:
        job: whose mail.
        attempt: its id.
        place: the job's.
        config: what all mails share.
        content: SES's ``Content``; the job's template unless given.
        attachments: what becomes SES's ``Attachments`` before the request leaves.
    """
    key = Key(job.user_id, job.month)
    tags = message_tags(key, attempt, config.installation) | {TAG_SOURCE: place.to_tag()}
    headers = _unsubscribe_headers(job, config) | {
        name: filled(text, job, f"header {name}") for name, text in config.headers.items()
    }
    if problem := tag_problem(tags) or header_problem(headers):
        raise ValueError(problem)
    request: dict[str, Any] = {
        "FromEmailAddress": config.from_address,
        "Destination": {"ToAddresses": [job.email]},
        "Content": _with(content or template_content(job), headers, attachments),
        "EmailTags": [{"Name": name, "Value": value} for name, value in tags.items()],
    }
    if config.reply_to_address:
        request["ReplyToAddresses"] = [config.reply_to_address]
    if config.configuration_set:
        request["ConfigurationSetName"] = config.configuration_set
    return {**request, **config.options}


def _with(content: dict[str, Any], headers: dict[str, str], attachments: Sequence[Any]) -> dict[str, Any]:
    (body,) = content.values()
    if headers:
        body["Headers"] = [{"Name": name, "Value": value} for name, value in headers.items()]
    if attachments:
        body["Attachments"] = [*attachments]
    return content


def unsubscribe_token(secret: str, user_id: str) -> str:
    """What only who knows the secret can make: base64url, without padding, of HMAC-SHA256 over the user id's UTF-8."""
    signed = hmac.digest(secret.encode(), user_id.encode(), "sha256")
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def _unsubscribe_headers(job: Job, config: MailConfig) -> dict[str, str]:
    """RFC 8058's pair, which Gmail and Yahoo ask of bulk senders."""
    if not config.unsubscribe_url:
        return {}
    token = unsubscribe_token(config.unsubscribe_secret, job.user_id)
    url = filled(config.unsubscribe_url, job, "the unsubscribe URL", _url_part, token)
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def filled(text: str, job: Job, what: str, write: Callable[[str], str] = str, token: str = "") -> str:
    """With the job's values in the place of names in braces; raises ``ValueError`` naming what the job lacks.

    Args:
        text: with names in braces.
        job: whose values.
        what: what the text is, for the message.
        write: a value as it may stand there; raises ``ValueError`` for one that may not.
        token: what ``{token}`` means; empty: a column like others.
    """

    def value(found: re.Match[str]) -> str:
        if (name := found[1]) == "token" and token:
            return token
        own = _own(job, name)
        if own is None:
            raise ValueError(f"data: {what} needs {name}, which the job lacks")
        return write(own)

    return _PLACEHOLDER.sub(value, text)


def lacks(text: str, job: Job) -> bool:
    """Whether the job has no value for a name in braces."""
    return any(_own(job, name) is None for name in _PLACEHOLDER.findall(text))


def file_part(value: str) -> str:
    """A value as a part of a file's name; raises ``ValueError`` for one that would name another folder."""
    if _NO_FILE_PART.search(value) or not value.strip("."):
        raise ValueError(f"data: {value!r} cannot be a part of a file's name")
    return value


def _url_part(value: str) -> str:
    return quote(value, safe="")


def _own(job: Job, name: str) -> str | None:
    found = {"user_id": job.user_id, "month": job.month}.get(name, job.data.get(name))
    return str(found) if isinstance(found, str | int | float) and found != "" else None
