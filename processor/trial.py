"""Templates filled in on trial: what a mail would look like, and whether one can be made of its data at all."""

from __future__ import annotations

import email
import email.policy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from processor.adapters.attachments import Attachments, Named, read_all
from processor.adapters.local_templates import LocalTemplates
from processor.adapters.mail_options import mail_config, settings_of_templates
from processor.adapters.templates import LOOK, author_needs, ses_client, stored_form
from processor.core.mail import compose
from processor.shell.templates import check_needs
from schemas.codec import template_data
from schemas.identity import Place
from schemas.records import Job
from schemas.runtime.ending import run
from schemas.runtime.errors import BadRecord, Halted, MailonceError, UsageError
from schemas.runtime.settings import Settings
from schemas.templates.data import Form
from schemas.templates.template import Needs

__all__ = ["Check", "Kept", "NotLookedUp", "Preview", "kept_template", "preview", "request_of", "trial"]

RENDERS_A_SECOND = 1.0
"""TestRenderEmailTemplate's limit, by its page in the API reference."""

Check = Callable[[Job], None]
"""Raises `BadRecord` for a job whose mail cannot be made."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A mail as it would look."""

    subject: str
    text: str
    html: str
    request: dict[str, Any] = field(default_factory=dict)
    """what SES is told besides: SendEmail's parameters without content, recipient and tags, and the headers"""


def preview(settings: Settings, job: Job) -> Preview:
    """The mail, rendered as the processors' mails are. Raises `UsageError`."""
    mail = _by_ses(job) if settings.render == "ses" else _here(settings, job)
    own = settings_of_templates(settings, Path(settings.templates_folder)).get(job.template, settings)
    try:
        return replace(mail, request=request_of(own, job))
    except (ValueError, Halted) as why:
        raise UsageError(f"{job.user_id}: {why}") from None


def request_of(settings: Settings, job: Job) -> dict[str, Any]:
    """What SES is told besides the content, by its template's settings; attachments are read.

    Raises ``ValueError`` as `compose` and `Attachments.of` do, and `Halted` when attachments cannot be read.
    """
    body: dict[str, Any] = {}
    named = Attachments(settings).of(job)
    request = compose(job, "preview", Place(0, 0), mail_config(settings, ""), {"Simple": body})
    headers = {one["Name"]: one["Value"] for one in body.get("Headers", [])}
    told = {name: value for name, value in request.items() if name not in {"Destination", "Content", "EmailTags"}}
    shown = {"Headers": headers, "Attachments": _shown(named)}
    return told | {name: value for name, value in shown.items() if value}


def _shown(named: list[Named]) -> list[dict[str, Any]]:
    contents = [len(read["RawContent"]) for read in read_all(named)]
    return [{**one.about(), "Bytes": size} for one, size in zip(named, contents, strict=True)]


def _here(settings: Settings, job: Job) -> Preview:
    try:
        found = LocalTemplates(Path(settings.templates_folder)).render(job)
    except (BadRecord, Halted) as why:
        raise UsageError(f"{job.user_id}: {why}") from None
    return Preview(found["Subject"], found.get("Text", ""), found.get("Html", ""))


def _by_ses(job: Job) -> Preview:
    try:
        client = ses_client()
        needs = Needs.of(client.get_email_template(TemplateName=job.template)["TemplateContent"])
        check_needs(job, needs)
        answer = client.test_render_email_template(
            TemplateName=job.template, TemplateData=template_data(job, needs.form)
        )
    except BadRecord as why:
        raise UsageError(f"{job.user_id}: {why}") from None
    except (ClientError, BotoCoreError) as error:
        raise UsageError(f"SES could not render template {job.template!r}: {error}") from None
    message = email.message_from_string(answer["RenderedTemplate"], policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return Preview(str(message["Subject"] or ""), _part(message, "plain"), _part(message, "html"))


def _part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,)) if message.is_multipart() or message.get_content_subtype() == kind else None
    return str(found.get_content()) if found is not None else ""


@contextmanager
def trial(settings: Settings, folder: Path) -> Iterator[Check]:
    """What fills in the folder's templates as the month's mails will be filled in."""
    mails = settings_of_templates(settings, folder)

    def check_request(job: Job) -> None:
        try:
            request_of(mails.get(job.template, settings), job)
        except ValueError as why:
            raise BadRecord("missing-data", str(why)) from None

    if settings.render == "local":
        local = LocalTemplates(folder)

        def check_local(job: Job) -> None:
            run(local.check(job))
            check_request(job)

        yield check_local
        return
    stored = stored_form(folder)
    needs: dict[str, tuple[Needs, Needs]] = {}
    ses = _Trial()

    def check(job: Job) -> None:
        if job.template not in stored:
            raise UsageError(f"{folder} has no template {job.template!r}; name the month's with --template")
        content = stored[job.template]
        if job.template not in needs:
            needs[job.template] = author_needs(folder, job.template), Needs.of(content)
        own, kept = needs[job.template]
        check_needs(job, own)
        check_needs(job, kept)
        check_request(job)
        if kept.branches:
            ses.render(job, content, kept.form)

    try:
        yield check
    finally:
        ses.end()


class _Trial:
    """SES's own engine, under names that no mail uses: what it makes of blocks only it can tell."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    @cached_property
    def _client(self) -> Any:
        return ses_client()

    def render(self, job: Job, content: dict[str, str], form: Form) -> None:
        """Raises `BadRecord` when SES cannot, and `MailonceError` when it does not answer."""
        name = f"mailonce-trial-{job.template}"
        try:
            if name not in self._names:
                self._names.add(name)
                self._client.create_email_template(TemplateName=name, TemplateContent=content)
            else:
                time.sleep(1 / RENDERS_A_SECOND)
            self._client.test_render_email_template(TemplateName=name, TemplateData=template_data(job, form))
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 400:
                raise MailonceError(f"SES could not be asked to fill in a template: {error}") from error
            raise BadRecord("missing-data", f"data: {error.response['Error'].get('Message')}") from None
        except BotoCoreError as error:
            raise MailonceError(f"SES could not be asked to fill in a template: {error}") from error

    def end(self) -> None:
        for name in self._names:
            self._client.delete_email_template(TemplateName=name)


class NotLookedUp(MailonceError):
    """Whether the template is there could not be found out: the processors will find out, mail by mail."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A template as the processors will find it."""

    check: Check
    needs: Needs | None = None
    """of one that SES keeps"""


def kept_template(settings: Settings, name: str) -> Kept:
    """The template that the processors' mails are made from, by SES or by the folder, as `settings` says.

    Raises `UsageError` where it is not there, and `NotLookedUp` where that cannot be told.
    """
    if settings.render == "local":
        return _kept_here(Path(settings.templates_folder), name)
    try:
        client = ses_client(LOOK)
        needs = Needs.of(client.get_email_template(TemplateName=name)["TemplateContent"])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NotFoundException":
            raise UsageError(
                f"SES has no template {name!r}: name it with --template, or `mailonce templates push DIR` first"
            ) from None
        raise NotLookedUp(f"SES could not be asked for template {name!r}: {error}") from error
    except BotoCoreError as error:
        raise NotLookedUp(f"SES could not be asked for template {name!r}: {error}") from error
    return Kept(lambda job: check_needs(job, needs), needs)


def _kept_here(folder: Path, name: str) -> Kept:
    if not folder.is_dir():
        raise NotLookedUp(f"there is no folder {folder} here (MAILONCE_TEMPLATES_FOLDER)")
    local = LocalTemplates(folder)
    if name not in local.names:
        raise UsageError(f"{folder} has no template {name!r}: name it with --template")
    return Kept(lambda job: run(local.check(job)))
