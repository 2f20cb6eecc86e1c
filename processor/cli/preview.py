"""One mail as it would look: rendered as the processors' mails are, sent to nobody."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from processor.adapters.local_templates import LocalTemplates
from processor.adapters.templates import ses_client
from processor.cli.shown import print_json
from schemas.addresses import mask
from schemas.codec import template_data
from schemas.errors import BadRecord, Halted, UsageError
from schemas.records import Job
from schemas.settings import Settings

__all__ = ["preview"]


def preview(settings: Settings, job: Job, *, folder: Path | None, as_json: bool) -> None:
    """Prints subject and text; with `folder` writes ``USER-MONTH.html`` and ``.txt`` there. Raises `UsageError`."""
    rendered = _by_ses(job) if settings.render == "ses" else _here(settings, job)
    subject, parts = rendered["subject"], rendered
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        name = "".join(char if char.isalnum() or char in "-_" else "-" for char in job.user_id)
        for kind, ending in (("html", "html"), ("plain", "txt")):
            (folder / f"{name}-{job.month}.{ending}").write_text(parts[kind], encoding="utf-8")
    if as_json:
        return print_json({"to": mask(job.email), "subject": subject, "text": parts["plain"], "html": parts["html"]})
    console = Console()
    console.print(f"[bold]to[/] {mask(job.email)}  [bold]subject[/] {subject}", highlight=False)
    console.print(parts["plain"] or parts["html"], highlight=False, markup=False)
    return None


def _here(settings: Settings, job: Job) -> dict[str, str]:
    try:
        found = LocalTemplates(Path(settings.templates_folder)).render(job)
    except (BadRecord, Halted) as why:
        raise UsageError(f"{job.user_id}: {why}") from None
    return {"subject": found["Subject"], "plain": found.get("Text", ""), "html": found.get("Html", "")}


def _by_ses(job: Job) -> dict[str, str]:
    """SES renders one template a second at the most (TestRenderEmailTemplate)."""
    try:
        answer = ses_client().test_render_email_template(
            TemplateName=job.template, TemplateData=template_data(job, twin=True)
        )
    except (ClientError, BotoCoreError) as error:
        raise UsageError(f"SES could not render template {job.template!r}: {error}") from None
    message = email.message_from_string(answer["RenderedTemplate"], policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return {"subject": str(message["Subject"] or ""), "plain": _part(message, "plain"), "html": _part(message, "html")}


def _part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,)) if message.is_multipart() or message.get_content_subtype() == kind else None
    return str(found.get_content()) if found is not None else ""
