"""Templates: filled in on trial with a source's data, and put into SES."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from processor.adapters.local_templates import LocalTemplates
from processor.adapters.templates import push_templates, ses_client, stored_form
from processor.core.shapes import distinct_shapes
from processor.templates import check_needs
from schemas.codec import template_data
from schemas.ending import run
from schemas.errors import BadRecord, MailonceError, UsageError
from schemas.records import Job
from schemas.settings import Settings
from schemas.template import Needs, has_blocks

__all__ = ["EXIT_NOT_FILLED", "check_and_push"]

EXIT_NOT_FILLED = 3
RENDERS_A_SECOND = 1.0
"""TestRenderEmailTemplate's limit, by its page in the API reference."""

Check = Callable[[Job], None]


def check_and_push(settings: Settings, folder: Path, jobs: Iterable[Job] | None, *, dry_run: bool) -> int:
    """Fills the templates in with one job of each shape, then pushes them; returns the exit code.

    Nothing is pushed when a shape cannot be filled in, nor when the processors fill in themselves.
    """
    console = Console()
    if jobs is not None and not _check(settings, folder, jobs, console):
        return EXIT_NOT_FILLED
    if settings.render == "local":
        names = ", ".join(LocalTemplates(folder).names)
        console.print(f"{names}: not pushed, the processors fill in themselves (MAILONCE_RENDER=local)")
        return 0
    for pushed in push_templates(folder, dry_run=dry_run):
        needs = ", ".join(sorted(pushed.needs)) or "nothing"
        what = f"would be {pushed.what}" if dry_run and pushed.what != "unchanged" else pushed.what
        console.print(f"{pushed.name}: {what}; needs {needs}", highlight=False)
    return 0


def _check(settings: Settings, folder: Path, jobs: Iterable[Job], console: Console) -> bool:
    shapes = bad = 0
    with _checker(settings, folder) as check:
        for job in distinct_shapes(jobs):
            shapes += 1
            try:
                check(job)
            except BadRecord as why:
                bad += 1
                row = f"{job.provenance.source}:{job.provenance.row}" if job.provenance else job.user_id
                console.print(f"[red]cannot be filled in[/] {row} ({job.user_id}): {why.detail}", highlight=False)
    console.print(f"{shapes} shapes of data were filled in, {bad} of them could not", highlight=False)
    return not bad


@contextmanager
def _checker(settings: Settings, folder: Path) -> Iterator[Check]:
    """What fills in as the month's mails will be filled in."""
    if settings.render == "local":
        local = LocalTemplates(folder)
        yield lambda job: run(local.check(job))
        return
    stored = stored_form(folder)
    trial = _Trial()

    def check(job: Job) -> None:
        if job.template not in stored:
            raise UsageError(f"{folder} has no template {job.template!r}; name the month's with --template")
        content = stored[job.template]
        check_needs(job, Needs.of(content))
        if any(has_blocks(part) for part in content.values()):
            trial.render(job, content)

    try:
        yield check
    finally:
        trial.end()


class _Trial:
    """SES's own engine, under names that no mail uses: blocks are not understood here."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    @cached_property
    def _client(self) -> Any:
        return ses_client()

    def render(self, job: Job, content: dict[str, str]) -> None:
        """Raises `BadRecord` when SES cannot, and `MailonceError` when it does not answer."""
        name = f"mailonce-trial-{job.template}"
        try:
            if name not in self._names:
                self._names.add(name)
                self._client.create_email_template(TemplateName=name, TemplateContent=content)
            else:
                time.sleep(1 / RENDERS_A_SECOND)
            self._client.test_render_email_template(TemplateName=name, TemplateData=template_data(job, twin=True))
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 400:
                raise MailonceError(f"SES could not be asked to fill in a template: {error}") from error
            raise BadRecord("missing-data", f"data: {error.response['Error'].get('Message')}") from None
        except BotoCoreError as error:
            raise MailonceError(f"SES could not be asked to fill in a template: {error}") from error

    def end(self) -> None:
        for name in self._names:
            self._client.delete_email_template(TemplateName=name)
