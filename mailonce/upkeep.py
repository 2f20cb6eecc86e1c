"""What is kept in order around a month: topics, templates, dead letters, the dedup set, the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mailonce.options import Json, load, month_of

__all__ = ["dead_letters_app", "dedup_app", "settings_app", "templates_app", "topics_app"]

settings_app = typer.Typer()
topics_app = typer.Typer(no_args_is_help=True, help="The Kafka topics.")
templates_app = typer.Typer(no_args_is_help=True, help="E-mail templates in SES.")
dead_letters_app = typer.Typer(no_args_is_help=True, help="Records that could not become e-mails.")
dedup_app = typer.Typer(no_args_is_help=True, help="What Redis knows of every mail.")


@settings_app.command()
def settings(as_json: Json = False) -> None:
    """Every setting: value now, default, unit and meaning. Secrets are hidden."""
    import json

    from rich.console import Console
    from rich.table import Table

    from schemas.settings import describe_settings

    rows = list(describe_settings(load()))
    if as_json:
        names = ("name", "value", "default", "meaning")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))  # noqa: T201 - the answer
        return
    table = Table("variable", "now", "default", "meaning")
    for name, now, default, meaning in rows:
        table.add_row(name, now if now == default else f"[bold]{now}", default, meaning)
    Console().print(table)


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
    dry_run: Annotated[bool, typer.Option(help="Say what would happen, push nothing.")] = False,
) -> None:
    """Put templates into SES; only what differs is written."""
    from processor.cli.upkeep import push_all_templates

    load()
    push_all_templates(folder, dry_run=dry_run)


@dead_letters_app.command("list", epilog="Example: `mailonce dead-letters list --month 2026-11 --reason missing-data`")
def dead_letters_list(
    month: Annotated[str | None, typer.Option(help="Only this month.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason.")] = None,
    count: Annotated[int, typer.Option(help="How many at the most.")] = 100,
    as_json: Json = False,
) -> None:
    """Dead letters with their reasons."""
    from processor.cli.dead_letters import list_dead_letters

    list_dead_letters(load(), month=month_of(month) if month else None, reason=reason, as_json=as_json, count=count)


@dead_letters_app.command("show", epilog="Example: `mailonce dead-letters show 3:17`")
def dead_letters_show(
    place: Annotated[str, typer.Argument(metavar="P:N", help="Partition and offset in the dead-letter topic.")],
    as_json: Json = False,
) -> None:
    """One dead letter: why, and the record's original bytes and headers."""
    from processor.cli.dead_letters import show_dead_letter

    show_dead_letter(load(), place, as_json=as_json)


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
