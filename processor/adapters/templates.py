"""E-mail templates from a folder into SES, idempotently.

A template is a sub-folder named like it, with ``subject.txt`` and ``body.html``, ``body.txt`` or both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from processor.adapters.aws import aws_session
from schemas.runtime.errors import MailonceError, UsageError
from schemas.templates.handlebars import TemplateRefused, check
from schemas.templates.template import escape_html_part, variables

__all__ = ["FILES", "Pushed", "push_templates", "read_templates", "ses_client", "stored_form"]

FILES = {"Subject": "subject.txt", "Html": "body.html", "Text": "body.txt"}


@dataclass(frozen=True, slots=True)
class Pushed:
    name: str
    what: str
    """created, updated or unchanged"""
    needs: frozenset[str]


def read_templates(folder: Path) -> dict[str, dict[str, str]]:
    """The templates in `folder`; raises `UsageError` naming what is missing."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    found: dict[str, dict[str, str]] = {}
    for sub in sorted(path for path in folder.iterdir() if path.is_dir()):
        parts = {part: (sub / name).read_text().strip() for part, name in FILES.items() if (sub / name).is_file()}
        if "Subject" not in parts or len(parts) < 2:
            raise UsageError(f"{sub}: a template needs subject.txt and body.html, body.txt or both")
        found[sub.name] = parts
    if not found:
        raise UsageError(f"{folder}: holds no templates; one is a sub-folder with subject.txt, body.html, body.txt")
    return found


def stored_form(folder: Path) -> dict[str, dict[str, str]]:
    """The templates as SES is to keep them: their HTML takes escaped values.

    Raises as `read_templates`, and `UsageError` naming each file with its line where Handlebars does not agree on it.
    """
    templates = read_templates(folder)
    problems: list[str] = []
    for name, content in templates.items():
        if "Html" in content:
            content["Html"] = escape_html_part(content["Html"])
        problems += _problems(folder / name, content)
    if problems:
        raise UsageError("\n".join(problems))
    return templates


def _problems(folder: Path, content: dict[str, str]) -> Iterator[str]:
    """The first of each file, as its author wrote it or else as it would be kept."""
    for part, kept in content.items():
        path = folder / FILES[part]
        written = path.read_text()
        skipped = written[: len(written) - len(written.lstrip())].count("\n")
        try:
            check(written.strip())
            check(kept)
        except TemplateRefused as why:
            yield f"{path}:{why.line + skipped}: {why.told}"


def ses_client() -> Any:
    """For calls that may be repeated."""
    return aws_session().client("sesv2", config=Config(retries={"total_max_attempts": 5, "mode": "standard"}))


def push_templates(folder: Path, *, dry_run: bool = False) -> Iterator[Pushed]:
    """Creates or updates each template that differs."""
    templates = stored_form(folder)
    try:
        client = ses_client()
        for name, content in templates.items():
            yield Pushed(name, _push(client, name, content, dry_run=dry_run), variables(*content.values()))
    except (ClientError, BotoCoreError) as error:
        raise MailonceError(f"SES did not take the templates: {error}") from error


def _push(client: Any, name: str, content: dict[str, str], *, dry_run: bool) -> str:
    try:
        held = client.get_email_template(TemplateName=name)["TemplateContent"]
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 404:
            raise
        if not dry_run:
            client.create_email_template(TemplateName=name, TemplateContent=content)
        return "created"
    if {part: text for part, text in held.items() if text} == content:
        return "unchanged"
    if not dry_run:
        client.update_email_template(TemplateName=name, TemplateContent=content)
    return "updated"
