"""``mailonce templates``: filled in on trial with a source's data, and put into SES."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailonce.options import EXIT_BAD_DATA, TEMPLATE, Encoding, Maps, load, month_of, open_rows
from mailonce.shown import console, row_of, say

if TYPE_CHECKING:
    from schemas.records import Job
    from schemas.runtime.settings import Settings

__all__ = ["app"]

app = typer.Typer(name="templates", no_args_is_help=True, help="E-mail templates in SES.")


@app.command("push", epilog="Example: `mailonce templates push templates/`")
def push(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="One sub-folder a template: subject.txt, body.html, body.txt.")
    ],
    check: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="First fill them in with each shape of this source's data.")
    ] = None,
    month: Annotated[str, typer.Option("--month", "-m", help="With --check: the source's month, YYYY-MM.")] = "",
    template: Annotated[str, typer.Option(help="With --check: the month's template.")] = TEMPLATE,
    maps: Maps = None,
    encoding: Encoding = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would happen, push nothing.")] = False,
) -> None:
    """Put templates into SES; only what differs is written.

    Exit code 3, and nothing pushed, when --check finds data that a template cannot be filled in with.
    """
    from processor.adapters.mail_options import settings_of_templates
    from producer.plan import jobs_of
    from producer.sources.shaped import parse_shape

    settings = load()
    settings_of_templates(settings, folder)
    if check is not None:
        when = month_of(month) if month else datetime.now(UTC).strftime("%Y-%m")
        rows = open_rows(check, when, parse_shape(maps, encoding=encoding))
        if not _all_filled_in(settings, folder, jobs_of(rows, when, template)):
            raise typer.Exit(EXIT_BAD_DATA)
    _push(settings, folder, dry_run=dry_run)


def _all_filled_in(settings: Settings, folder: Path, jobs: Iterable[Job]) -> bool:
    """Fills the templates in with one job of each shape; says which cannot be."""
    from processor.core.shapes import distinct_shapes
    from processor.trial import trial
    from schemas.runtime.errors import BadRecord

    shapes = bad = 0
    with trial(settings, folder) as check:
        for job in distinct_shapes(jobs):
            shapes += 1
            try:
                check(job)
            except BadRecord as why:
                bad += 1
                say(f"[red]cannot be filled in[/] {row_of(job)} ({job.user_id}): {why.detail}")
    say(f"{shapes} shapes of data were filled in, {bad} of them could not")
    return not bad


def _push(settings: Settings, folder: Path, *, dry_run: bool) -> None:
    """Nothing is pushed when the processors fill in themselves."""
    from processor.adapters.local_templates import LocalTemplates
    from processor.adapters.templates import push_templates

    if settings.render == "local":
        names = ", ".join(LocalTemplates(folder).names)
        return console().print(f"{names}: not pushed, the processors fill in themselves (MAILONCE_RENDER=local)")
    for pushed in push_templates(folder, dry_run=dry_run):
        needs = ", ".join(sorted(pushed.needs)) or "nothing"
        what = f"would be {pushed.what}" if dry_run and pushed.what != "unchanged" else pushed.what
        say(f"{pushed.name}: {what}; needs {needs}")
    return None
