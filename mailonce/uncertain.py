"""``mailonce uncertain``: mails whose fate nobody knows, and what people decide of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailonce.options import Json, Who, Why, key_of, load, login, month_of, now_ms, on_dedup
from mailonce.shown import console, print_json, say, table, utc
from schemas.runtime.errors import UsageError

if TYPE_CHECKING:
    from processor.core.uncertain import UncertainMail
    from processor.ops.uncertain import Resolution
    from schemas.runtime.settings import Settings

__all__ = ["app"]

app = typer.Typer(name="uncertain", no_args_is_help=True, help="Mails whose fate nobody knows.")

_DONE = {"sent": "recorded as sent", "resend": "to be sent again", "dead": "dead-lettered"}


@app.command("list", epilog="Example: `mailonce uncertain list --month 2026-11`")
def list_(month: Annotated[str | None, typer.Option(help="Only this month.")] = None, as_json: Json = False) -> None:
    """Mails of which nobody knows whether SES took them: held, never sent again by themselves."""
    from processor.ops.uncertain import describe, uncertain_of

    entries = [describe(mail) for mail in uncertain_of(load(), month_of(month) if month else None)]
    if as_json:
        return print_json(entries)
    lines = table("user", "month", "attempt", "since (UTC)", "why")
    for entry in entries:
        since = utc(entry["at_ms"])
        lines.add_row(entry["user_id"], entry["month"], str(entry["attempt"]), since, str(entry["reason"]))
    return console().print(lines)


@app.command("resolve", epilog='Example: `mailonce uncertain resolve u-1042 2026-11 --as sent --why "seen"`')
def resolve(
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
    from importlib.metadata import version

    from processor.ops.uncertain import Decision
    from processor.ops.uncertain import resolve as record

    what = _resolution(resolution)
    if (month is None) == (user is None) or (user is None) != (month_of_user is None):
        raise UsageError("name a user and a month, or all of a month with --month")
    settings, when, decider = load(), month_of(month or str(month_of_user)), login(who)
    chosen = _chosen(settings, user, when)
    if not dry_run:
        decision = Decision(what, decider, why, now_ms())
        on_dedup(settings, lambda dedup: record(settings, dedup, chosen, decision, version("mailonce")))
    say(f"{len(chosen):,} mails {'would be ' if dry_run else ''}{_DONE[what]}")


def _resolution(text: str) -> Resolution:
    from processor.ops.uncertain import Resolution

    try:
        return Resolution(text)
    except ValueError:
        raise UsageError(f"--as is sent, resend or dead, not {text!r}") from None


def _chosen(settings: Settings, user: str | None, month: str) -> list[UncertainMail]:
    """A user's uncertain mail of the month, or without a user every uncertain one. Raises `UsageError`."""
    from processor.ops.uncertain import uncertain_of

    if user is None:
        return list(uncertain_of(settings, month))
    key = key_of(user, month)
    chosen = [mail for mail in uncertain_of(settings, month, decided=True) if mail.key == key]
    if not chosen:
        raise UsageError(f"not in doubt: {key}; `mailonce show` tells its outcome")
    return chosen
