"""What people decide: mails in doubt, addresses that get no more mail."""

from __future__ import annotations

from typing import Annotated

import typer

from mailonce.options import Json, Unmasked, Who, Why, load, login, month_of
from schemas.errors import UsageError

__all__ = ["suppressions_app", "uncertain_app"]

uncertain_app = typer.Typer(no_args_is_help=True, help="Mails whose fate nobody knows.")
suppressions_app = typer.Typer(no_args_is_help=True, help="Addresses that get no more mail.")


@uncertain_app.command("list", epilog="Example: `mailonce uncertain list --month 2026-11`")
def uncertain_list(
    month: Annotated[str | None, typer.Option(help="Only this month.")] = None, as_json: Json = False
) -> None:
    """Mails of which nobody knows whether SES took them: held, never sent again by themselves."""
    from processor.cli.judgements import list_uncertain

    list_uncertain(load(), month=month_of(month) if month else None, as_json=as_json)


@uncertain_app.command("resolve", epilog='Example: `mailonce uncertain resolve u-1042 2026-11 --as sent --why "seen"`')
def uncertain_resolve(
    why: Why,
    resolution: Annotated[str, typer.Option("--as", metavar="sent|resend|dead", help="What you know, or want.")],
    user: Annotated[str | None, typer.Argument(help="The user id.")] = None,
    month_of_user: Annotated[str | None, typer.Argument(metavar="MONTH", help="The month, YYYY-MM.")] = None,
    month: Annotated[str | None, typer.Option(help="Instead of one user: every uncertain mail of this month.")] = None,
    who: Who = None,
    dry_run: Annotated[bool, typer.Option(help="Say how many, change nothing.")] = False,
) -> None:
    """Decide a mail in doubt: `sent` and `dead` record what you know; `resend` calls SES again, once.

    A resend is the one way to send twice: do it when you are sure that SES did not take the first call.
    """
    from processor.cli.judgements import resolve_uncertain
    from processor.ops.uncertain import Resolution

    try:
        chosen = Resolution(resolution)
    except ValueError:
        raise UsageError(f"--as is sent, resend or dead, not {resolution!r}") from None
    if (month is None) == (user is None) or (user is None) != (month_of_user is None):
        raise UsageError("name a user and a month, or all of a month with --month")
    resolve_uncertain(
        load(), user, month_of(month or str(month_of_user)), chosen, who=login(who), why=why, dry_run=dry_run
    )


@suppressions_app.command("list", epilog="Example: `mailonce suppressions list --json`")
def suppressions_list(as_json: Json = False, unmasked: Unmasked = False) -> None:
    """Addresses that bounced for good, complained, or were added by hand."""
    from processor.cli.judgements import show_suppressions

    show_suppressions(load(), as_json=as_json, unmasked=unmasked)


@suppressions_app.command("add", epilog='Example: `mailonce suppressions add a@example.com --why "asked by phone"`')
def suppressions_add(address: Annotated[str, typer.Argument()], why: Why, who: Who = None) -> None:
    """Send an address no more mail."""
    from processor.cli.judgements import add_suppression

    add_suppression(load(), address, who=login(who), why=why)


@suppressions_app.command("remove", epilog="Example: `mailonce suppressions remove a@example.com`")
def suppressions_remove(address: Annotated[str, typer.Argument()]) -> None:
    """Let an address get mail again."""
    from processor.cli.judgements import drop_suppression

    drop_suppression(load(), address)
