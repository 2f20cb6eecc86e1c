"""One mail as it would look: rendered by SES's own template engine, sent to nobody."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from processor.adapters.aws import aws_session
from processor.cli.shown import print_json
from schemas.addresses import mask
from schemas.codec import template_data
from schemas.errors import UsageError
from schemas.records import Job

__all__ = ["preview"]


def preview(job: Job, *, folder: Path | None, as_json: bool) -> None:
    """Prints subject and text; with `folder` writes ``USER-MONTH.html`` and ``.txt`` there.

    SES renders one template a second at the most (TestRenderEmailTemplate). Raises `UsageError` when it cannot.
    """
    try:
        client = aws_session().client("sesv2", config=Config(retries={"total_max_attempts": 3, "mode": "standard"}))
        answer = client.test_render_email_template(TemplateName=job.template, TemplateData=template_data(job))
    except (ClientError, BotoCoreError) as error:
        raise UsageError(f"SES could not render template {job.template!r}: {error}") from None
    message = email.message_from_string(answer["RenderedTemplate"], policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    parts = {kind: _part(message, kind) for kind in ("plain", "html")}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        name = "".join(char if char.isalnum() or char in "-_" else "-" for char in job.user_id)
        for kind, ending in (("html", "html"), ("plain", "txt")):
            (folder / f"{name}-{job.month}.{ending}").write_text(parts[kind], encoding="utf-8")
    subject = str(message["Subject"] or "")
    if as_json:
        return print_json({"to": mask(job.email), "subject": subject, "text": parts["plain"], "html": parts["html"]})
    console = Console()
    console.print(f"[bold]to[/] {mask(job.email)}  [bold]subject[/] {subject}", highlight=False)
    console.print(parts["plain"] or parts["html"], highlight=False, markup=False)
    return None


def _part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,)) if message.is_multipart() or message.get_content_subtype() == kind else None
    return str(found.get_content()) if found is not None else ""
