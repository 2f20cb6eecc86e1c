"""``mailonce sources``: what a source is, before a month is made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from mailonce.options import EXIT_BAD_DATA, TEMPLATE, Encoding, Json, Maps, load, month_of, now_ms, open_rows
from mailonce.shown import print_json, row_of, say, utc

if TYPE_CHECKING:
    from producer.staging.look import Looked
    from producer.staging.staged import Staged
    from schemas.records import Job

__all__ = ["app", "command_for"]

app = typer.Typer(name="sources", no_args_is_help=True, help="Where a month's users come from.")

_FILES_MAX, _LACKING_MAX = 10, 5


@app.callback()
def sources() -> None:
    """A group, though it has one command."""


@app.command("check", epilog="Example: `mailonce sources check users.csv --template monthly-usage`")
def check(
    uri: Annotated[str, typer.Argument(metavar="URI", help="As for --source of `mailonce produce`.")],
    month: Annotated[str, typer.Option("--month", "-m", help="The month, YYYY-MM; the present one unless given.")] = "",
    template: Annotated[str | None, typer.Option(help="Whether this template of SES can be filled in with it.")] = None,
    templates: Annotated[Path | None, typer.Option(metavar="DIR", help="Take the template from here.")] = None,
    maps: Maps = None,
    encoding: Encoding = None,
    as_json: Json = False,
) -> None:
    """How a source is read, which values look wrong, which rows are rejected, what a template lacks; what to type next.

    Nothing is published. Exit code 3 when rows are rejected or the template cannot be filled in.
    """
    from producer.sources.shaped import parse_shape
    from producer.staging.look import look

    when = month_of(month) if month else utc(now_ms())[:7]
    rows = open_rows(uri, when, parse_shape(maps, encoding=encoding), notes=False)
    name = template or (TEMPLATE if templates else None)
    found = look(rows, when, name or TEMPLATE)
    lacking = _lacking(rows, when, name, templates) if name else None
    command = command_for(uri, when, maps, encoding, name)
    if as_json:
        print_json({**found.to_dict(), "template": name, "lacking": lacking, "command": command}, plain=True)
    else:
        _tell(found)
        _tell_template(name, lacking)
        say(f"\nrun: {command}", markup=False, soft_wrap=True)
    if found.rejected or lacking:
        raise typer.Exit(EXIT_BAD_DATA)


def command_for(uri: str, month: str, maps: list[str] | None, encoding: str | None, template: str | None) -> str:
    """What to type next; a password in the address is not repeated."""
    password = urlsplit(uri).password if "://" in uri else None
    words = ["mailonce", "produce", "--month", month, "--source", uri.replace(password, "***") if password else uri]
    for one in maps or []:
        words += ["--map", one]
    if encoding:
        words += ["--encoding", encoding]
    if template and template != TEMPLATE:
        words += ["--template", template]
    return " ".join(map(quote, [*words, "--dry-run"]))


def _lacking(rows: Staged, month: str, template: str, folder: Path | None) -> list[dict[str, str]]:
    """What cannot be filled in: the first job of each shape of the data, and why."""
    from processor.core.shapes import distinct_shapes
    from producer.plan import jobs_of
    from schemas.runtime.errors import BadRecord

    lacking = []
    with _filled_in(template, folder) as fill:
        for job in distinct_shapes(jobs_of(rows, month, template)):
            try:
                fill(job)
            except BadRecord as why:
                lacking.append({"first": row_of(job), "detail": why.detail})
    return lacking


@contextmanager
def _filled_in(template: str, folder: Path | None) -> Iterator[Callable[[Job], None]]:
    """What fills the template in on trial: from a folder, from the processors' own, or as SES keeps it."""
    from processor.trial import kept_template, trial

    settings = load()
    if folder is None and settings.render == "local":
        folder = Path(settings.templates_folder)
    if folder is not None:
        with trial(settings, folder) as fill:
            yield fill
        return
    yield kept_template(settings, template).check


def _tell(found: Looked) -> None:
    for one in found.files[:_FILES_MAX]:
        say(f"{one['name']}: {_how(one)}: {one['rows']:,} rows", markup=False, soft_wrap=True)
    if len(found.files) > _FILES_MAX:
        say(f"… and {len(found.files) - _FILES_MAX:,} files more, {found.rows:,} rows in all")
    say(f"columns: {', '.join(found.columns)}", markup=False, soft_wrap=True)
    for note in found.notes:
        say(note, markup=False, soft_wrap=True)
    for (kind, column), seen in found.suspicious.items():
        value = f" {seen.detail}" if seen.detail else ""
        say(f"suspicious: {seen.count:,} × {kind} in {column}, first {seen.place}{value}", markup=False, soft_wrap=True)
    for reason, seen in found.rejected.items():
        say(f"rejected: {seen.count:,} × {reason}, first {seen.place}: {seen.detail}", markup=False, soft_wrap=True)


def _how(file: dict[str, Any]) -> str:
    words = {"csv": "CSV", "json": "JSON", "parquet": "Parquet", "xlsx": "Excel"}
    how = [words.get(file.get("format", ""), "a query's answer")]
    how += [file[word] for word in ("encoding", "compression") if word in file]
    how += [f"separated by {file['separator']}"] if "separator" in file else []
    return ", ".join([*how, *([f"sheet {file['sheet']}"] if "sheet" in file else [])])


def _tell_template(name: str | None, lacking: list[dict[str, str]] | None) -> None:
    if lacking is None:
        say("template: not looked at (--template NAME, --templates DIR)")
        return
    for one in lacking[:_LACKING_MAX]:
        say(f"template {name} cannot be filled in: {one['first']}: {one['detail']}", markup=False, soft_wrap=True)
    if not lacking:
        say(f"template {name}: can be filled in with every shape of the data", markup=False)
