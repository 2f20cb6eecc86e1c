"""Commands on records that could not become e-mails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailonce.options import Json, Who, load, login, month_of

if TYPE_CHECKING:
    from processor.ops.dead_letters import Wanted

__all__ = ["dead_letters_app"]

dead_letters_app = typer.Typer(no_args_is_help=True, help="Records that could not become e-mails.")

OnlyMonth = Annotated[str | None, typer.Option("--month", "-m", help="Only this month, YYYY-MM.")]
Reason = Annotated[str | None, typer.Option(help="Only this reason.")]
OnlyUser = Annotated[str | None, typer.Option("--user", help="Only this user id.")]
Since = Annotated[str | None, typer.Option(metavar="T", help="Only those that died since, UTC unless said.")]
State = Annotated[str | None, typer.Option(metavar="open|requeued|discarded", help="Only those in this state.")]
Places = Annotated[list[str] | None, typer.Argument(metavar="P:N…", help="Places in the dead-letter topic.")]
Reasoned = Annotated[str, typer.Option("--why", help="Why: kept with the record.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")]


def _wanted(month: str | None, reason: str | None, user: str | None, since: str | None, state: str | None) -> Wanted:
    from processor.cli.shown import parse_time
    from processor.ops.dead_letters import Wanted

    at_ms = parse_time(since, "--since") if since else None
    return Wanted(month_of(month) if month else None, reason, user, at_ms, state)


@dead_letters_app.command("list", epilog="Example: `mailonce dead-letters list --month 2026-11 --reason missing-data`")
def list_(
    month: OnlyMonth = None,
    reason: Reason = None,
    user: OnlyUser = None,
    since: Since = None,
    state: State = None,
    count: Annotated[int, typer.Option(help="How many at the most.")] = 100,
    as_json: Json = False,
) -> None:
    """Dead letters with their reasons, and what was done about them."""
    from processor.cli.dead_letters import list_dead_letters

    list_dead_letters(load(), _wanted(month, reason, user, since, state), as_json=as_json, count=count)


@dead_letters_app.command("histogram", epilog="Example: `mailonce dead-letters histogram --month 2026-11`")
def histogram(month: OnlyMonth = None, since: Since = None, as_json: Json = False) -> None:
    """How many there are of each reason, and in which state."""
    from processor.cli.dead_letters import show_histogram

    show_histogram(load(), _wanted(month, None, None, since, None), as_json=as_json)


@dead_letters_app.command("show", epilog="Example: `mailonce dead-letters show 3:17`")
def show(
    place: Annotated[str, typer.Argument(metavar="P:N", help="Partition and offset in the dead-letter topic.")],
    as_json: Json = False,
) -> None:
    """One dead letter: why, the record's original bytes and headers, and the whole story of its mail."""
    from processor.cli.dead_letters import show_dead_letter

    show_dead_letter(load(), place, as_json=as_json)


@dead_letters_app.command("export", epilog="Example: `mailonce dead-letters export --month 2026-11 > dead.csv`")
def export(
    form: Annotated[str, typer.Option("--format", metavar="csv|jsonl")] = "csv",
    month: OnlyMonth = None,
    reason: Reason = None,
    user: OnlyUser = None,
    since: Since = None,
    state: State = None,
) -> None:
    """All of them with their original values, to standard output. It holds addresses."""
    from processor.cli.dead_letters import export_dead_letters

    export_dead_letters(load(), _wanted(month, reason, user, since, state), form)


@dead_letters_app.command(
    "requeue",
    epilog='Example: `mailonce dead-letters requeue 3:17 --set email=anna@example.com --why "corrected by phone"`',
)
def requeue(
    places: Places = None,
    month: OnlyMonth = None,
    reason: Reason = None,
    user: OnlyUser = None,
    since: Since = None,
    count_max: Annotated[int | None, typer.Option("--max", min=1, help="So many at the most.")] = None,
    corrections: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Correct email, template or a field of data; repeatable."),
    ] = None,
    why: Reasoned = "",
    who: Who = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send letters back to the jobs topic, each with its mark in one transaction.

    Refused by name: what was sent meanwhile, is in doubt, would die again, or came back too often. Exit code 1 when a
    letter that you named was refused.
    """
    from processor.cli.dead_letters import parse_changes, requeue_dead_letters

    chosen = any((month, reason, user, since))
    code = requeue_dead_letters(
        load(),
        places or [],
        _wanted(month, reason, user, since, "open") if chosen else None,
        changes=parse_changes(corrections or []),
        count_max=count_max,
        who=login(who),
        why=why,
        dry_run=dry_run,
        as_json=as_json,
    )
    raise typer.Exit(code)


@dead_letters_app.command("discard", epilog='Example: `mailonce dead-letters discard 3:17 --why "has left"`')
def discard(
    places: Places = None,
    month: OnlyMonth = None,
    reason: Reason = None,
    user: OnlyUser = None,
    since: Since = None,
    why: Reasoned = "",
    who: Who = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Mark letters as done with: they are not deleted, and not requeued any more."""
    from processor.cli.dead_letters import discard_dead_letters

    chosen = any((month, reason, user, since))
    discard_dead_letters(
        load(),
        places or [],
        _wanted(month, reason, user, since, "open") if chosen else None,
        who=login(who),
        why=why,
        dry_run=dry_run,
        as_json=as_json,
    )
