"""What SES is told of each mail besides its content: by the settings, and by ``mail.toml`` in a template's folder."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from botocore.compat import HAS_CRT
from pydantic import ValidationError

from processor.adapters.attachments import Attachments
from processor.core.mail import MailConfig, compose
from schemas.addresses import mailbox
from schemas.identity import Place
from schemas.records import Job
from schemas.runtime.errors import UsageError
from schemas.runtime.mail_options import MailOptions
from schemas.runtime.settings import Settings

__all__ = ["OPTIONS_FILE", "Mails", "mail_config", "settings_of_templates"]

OPTIONS_FILE = "mail.toml"
_OPTIONS = {"from_address", "reply_to_address", "configuration_set", "unsubscribe_url", *MailOptions.model_fields}
_OPTIONS -= {"unsubscribe_secret", "endpoint_id"}


def settings_of_templates(settings: Settings, folder: Path) -> dict[str, Settings]:
    """The settings of each template that has a file of its own. Raises `UsageError` that names the file."""
    if not folder.is_dir():
        return {}
    files = sorted(folder.glob(f"*/{OPTIONS_FILE}"))
    return {path.parent.name: _changed(settings, path) for path in files}


def _changed(settings: Settings, path: Path) -> Settings:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    if {"cc", "bcc"} & {name.lower() for name in found}:
        raise UsageError(
            f"{path}: a mail has one recipient, or nobody could say to whom it was sent once: give who is to have a "
            "copy a row of their own"
        )
    if unknown := sorted(set(found) - _OPTIONS):
        raise UsageError(
            f"{path}: {', '.join(unknown)} is no option of a mail; there are {', '.join(sorted(_OPTIONS))}"
        )
    values: dict[str, Any] = {name: getattr(settings, name) for name in Settings.model_fields}
    if "mail_attachments" in found and not settings.attachments_folder:
        values["attachments_folder"] = str(path.parent)
    try:
        return Settings(**(values | found))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc'])) or 'together'}: {item['msg']}" for item in error.errors()]
        raise UsageError(f"{path}: " + "; ".join(lines)) from None


def mail_config(settings: Settings, installation: str) -> MailConfig:
    """Raises `UsageError` for what this boto3 cannot call."""
    if settings.endpoint_id and (settings.ses_transport == "lean" or not HAS_CRT):
        raise UsageError(
            "MAILONCE_ENDPOINT_ID: a multi-region endpoint is signed by awscrt, through boto3: "
            "pip install 'botocore[crt]' and set MAILONCE_SES_TRANSPORT=boto3"
        )
    options: dict[str, Any] = {
        "TenantName": settings.tenant_name,
        "EndpointId": settings.endpoint_id,
        "FromEmailAddressIdentityArn": settings.from_identity_arn,
        "FeedbackForwardingEmailAddress": settings.feedback_address,
    }
    if settings.contact_list:
        topic = {"TopicName": settings.contact_topic} if settings.contact_topic else {}
        options["ListManagementOptions"] = {"ContactListName": settings.contact_list, **topic}
    return MailConfig(
        mailbox(settings.from_address),
        mailbox(settings.reply_to_address),
        settings.configuration_set,
        settings.unsubscribe_url,
        installation,
        settings.unsubscribe_secret.get_secret_value(),
        dict(settings.mail_headers),
        {name: value for name, value in options.items() if value},
    )


class Mails:
    """Jobs as requests, by the settings of all mails and by those of their templates."""

    def __init__(self, settings: Settings, of_template: dict[str, Settings], installation: str) -> None:
        """Raises `UsageError` for what this boto3 cannot call, and for an attachment of all mails that is none."""
        self._every = mail_config(settings, installation), Attachments(settings)
        self._own = {name: (mail_config(own, installation), Attachments(own)) for name, own in of_template.items()}

    def request(self, job: Job, attempt: str, place: Place, content: dict[str, Any]) -> dict[str, Any]:
        """Raises ``ValueError`` as `compose` does. Attachments are still the files' names."""
        config, attachments = self._own.get(job.template, self._every)
        return compose(job, attempt, place, config, content, attachments.of(job))
