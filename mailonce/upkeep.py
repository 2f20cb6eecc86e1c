"""What is kept in order around a month: topics, templates, the dedup set, the settings."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mailonce.options import Json, Maps, User, load, month_of
from schemas.errors import UsageError

__all__ = ["dedup_app", "settings_app", "templates_app", "topics_app"]

settings_app = typer.Typer()
topics_app = typer.Typer(no_args_is_help=True, help="The Kafka topics.")
templates_app = typer.Typer(no_args_is_help=True, help="E-mail templates in SES.")
dedup_app = typer.Typer(no_args_is_help=True, help="What Redis knows of every mail.")


@settings_app.command()
def settings(as_json: Json = False) -> None:
    """Every setting: value now, default, unit and meaning. Secrets are hidden."""
    import json

    from rich.table import Table
    from rich.text import Text

    from schemas.settings import describe_settings

    rows = list(describe_settings(load()))
    if as_json:
        names = ("name", "value", "default", "meaning")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))  # noqa: T201 - the answer
        return
    table = Table("variable", "now", "default", "meaning")
    for name, now, default, meaning in rows:
        table.add_row(name, Text(now, style="" if now == default else "bold"), Text(default), Text(meaning))
    Console().print(table)


@settings_app.command(epilog="Example: `mailonce doctor`")
def doctor(as_json: Json = False) -> None:
    """Look at Kafka, Redis, SES, the event feed and the clocks, and say what to do about each finding.

    Exit code 1 when something would keep mail from going out or break the promise.
    """
    from processor.cli.doctor import examine_all

    raise typer.Exit(examine_all(load(), as_json=as_json))


@settings_app.command(epilog="Example: `mailonce forget u-1042 --dry-run`")
def forget(
    user: User,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is there, remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a person's data as far as it can be now, and say what remains and why. Cancels what was not sent yet.

    Addresses and mail data go at once, user ids when Kafka has removed the jobs: run it again after 36 days.
    """
    from processor.cli.forget import forget_user

    settings = load()
    if not dry_run and not yes:
        if not sys.stdin.isatty():
            raise UsageError("it cannot be undone: look with --dry-run, then say --yes")
        typer.confirm(f"Remove what is known of {user}? It cannot be undone.", abort=True, err=True)
    forget_user(settings, user, dry_run=dry_run, as_json=as_json)


@topics_app.command("create")
def topics_create(as_json: Json = False) -> None:
    """Make the topics that are missing; refuse one whose cleanup policy would lose records."""
    from processor.cli.upkeep import create_all_topics

    create_all_topics(load(), as_json=as_json)


@templates_app.command("push", epilog="Example: `mailonce templates push templates/`")
def templates_push(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="One sub-folder a template: subject.txt, body.html, body.txt.")
    ],
    check: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="First fill them in with each shape of this source's data.")
    ] = None,
    month: Annotated[str, typer.Option("--month", "-m", help="With --check: the source's month, YYYY-MM.")] = "",
    template: Annotated[str, typer.Option(help="With --check: the month's template.")] = "monthly-usage",
    maps: Maps = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would happen, push nothing.")] = False,
) -> None:
    """Put templates into SES; only what differs is written.

    Exit code 3, and nothing pushed, when --check finds data that a template cannot be filled in with.
    """
    from processor.cli.templates import check_and_push
    from producer.cli import Shape, jobs_of, open_shaped
    from producer.sources.shaped import parse_renames

    settings, jobs = load(), None
    if check is not None:
        when = month_of(month) if month else datetime.now(UTC).strftime("%Y-%m")
        source = open_shaped(check, when, Shape(parse_renames(maps or [])), Console(stderr=True))
        jobs = jobs_of(source, when, template)
    raise typer.Exit(check_and_push(settings, folder, jobs, dry_run=dry_run))


@dedup_app.command("rebuild")
def dedup_rebuild(as_json: Json = False) -> None:
    """Rebuild the dedup set from ledger and intents; nobody sends until it is done."""
    from processor.cli.upkeep import rebuild_dedup

    rebuild_dedup(load(), as_json=as_json)


@dedup_app.command("verify", epilog="Example: `mailonce dedup verify --json`")
def dedup_verify(as_json: Json = False) -> None:
    """Hold the dedup set against the ledger, key by key; exit code 1 when it could let a second mail out."""
    from processor.cli.upkeep import verify_dedup

    raise typer.Exit(verify_dedup(load(), as_json=as_json))
