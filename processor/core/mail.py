"""A job as the parameters of SES's SendEmail: one recipient, tags that name the attempt, unsubscribe headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from schemas.codec import template_data
from schemas.identity import TAG_SOURCE, Key, Place, message_tags
from schemas.limits import TEMPLATE_DATA_BYTES_MAX, header_problem, tag_problem
from schemas.records import Job
from schemas.templates.data import AS_IT_IS, Form

__all__ = ["MailConfig", "compose", "template_content"]


@dataclass(frozen=True, slots=True)
class MailConfig:
    """What all mails of this processor share."""

    from_address: str
    reply_to_address: str = ""
    configuration_set: str = ""
    unsubscribe_url: str = ""
    installation: str = ""
    """whose mails they are; empty: they carry no such tag"""


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
    headers = _unsubscribe_headers(key, config.unsubscribe_url)
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
    return request


def _unsubscribe_headers(key: Key, url: str) -> dict[str, str]:
    """RFC 8058's pair, which Gmail and Yahoo ask of bulk senders."""
    if not url:
        return {}
    filled = url.replace("{user_id}", quote(key.user_id, safe="")).replace("{month}", key.month)
    return {"List-Unsubscribe": f"<{filled}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
