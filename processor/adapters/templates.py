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
from schemas.templates.escaping import kept_form
from schemas.templates.handlebars import TemplateRefused
from schemas.templates.names import FILES
from schemas.templates.template import Needs

__all__ = ["LOOK", "Pushed", "author_needs", "push_templates", "read_templates", "ses_client", "stored_form"]


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
    """The templates as SES is to keep them: their HTML takes escaped values, JSON texts are gone into.

    Raises as `read_templates`, and `UsageError` naming each file with line and column of what is broken, means not the
    same to all engines, or could put a value into HTML that is not escaped.
    """
    templates = read_templates(folder)
    problems: list[str] = []
    for name, content in templates.items():
        templates[name], refused = kept_form(content)
        for why in refused:
            path = folder / name / FILES[why.part]
            line, column = _in_file(why, path.read_text())
            problems.append(f"{path}:{line}:{column}: {why.told}")
    if problems:
        raise UsageError("\n".join(problems))
    return templates


def author_needs(folder: Path, name: str) -> Needs:
    """What the template needs, with places as its files have them."""
    texts = {part: folder / name / file for part, file in FILES.items()}
    return Needs.of({part: path.read_text() for part, path in texts.items() if path.is_file()})


def _in_file(why: TemplateRefused, text: str) -> tuple[int, int]:
    """Where it stands in the file; blanks at a file's beginning are not kept."""
    blank = text[: len(text) - len(text.lstrip())]
    return why.line + blank.count("\n"), why.column + (len(blank) - blank.rfind("\n") - 1 if why.line == 1 else 0)


CALLS = Config(retries={"total_max_attempts": 5, "mode": "standard"})
LOOK = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2, "mode": "standard"})
"""For one who can go on without an answer."""


def ses_client(config: Config = CALLS) -> Any:
    """For calls that may be repeated."""
    return aws_session().client("sesv2", config=config)


def push_templates(folder: Path, *, dry_run: bool = False) -> Iterator[Pushed]:
    """Creates or updates each template that differs."""
    templates = stored_form(folder)
    try:
        client = ses_client()
        for name, content in templates.items():
            yield Pushed(name, _push(client, name, content, dry_run=dry_run), Needs.of(content).names)
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
