"""``mailonce forget``: what is found of a person, what is removed, what remains and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailonce.options import Json, User, load, on_dedup
from mailonce.shown import print_json, say
from schemas.runtime.errors import UsageError

if TYPE_CHECKING:
    from processor.ops.forget import Trace

__all__ = ["app"]

app = typer.Typer()

ELSEWHERE = (
    "email-events holds SES's events with the address for 35 days; Kafka removes them by age alone",
    "a suppressed address stays suppressed: `mailonce suppressions list`; whoever complained must not get mail again",
    "the source: a user who still stands there is published again next month",
    "SES, logs and backups are not mailonce's",
)


@app.command(epilog="Example: `mailonce forget u-1042 --dry-run`")
def forget(
    user: User,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is there, remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a person's data as far as it can be now, and say what remains and why. Cancels what was not sent yet.

    Addresses and mail data go at once, user ids when Kafka has removed the jobs: run it again after 36 days.
    """
    from processor.ops.forget import find
    from processor.ops.forget import forget as remove

    settings = load()
    if not dry_run and not yes:
        _ask(user)
    trace = find(settings, user)
    forgotten = None if dry_run else on_dedup(settings, lambda dedup: remove(settings, trace, dedup))
    done, closed = (dict(forgotten.removed), forgotten.found) if forgotten else ({}, {})
    if as_json:
        remains = {"mails": trace.kept, "events": trace.events}
        return print_json({"user": user, "found": _found(trace), "removed": done, "remains": remains, "closed": closed})
    return _show(trace, done, closed)


def _ask(user: str) -> None:
    """Raises `Abort` unless a person agrees, and `UsageError` where there is none to be asked."""
    if not sys.stdin.isatty():
        raise UsageError("it cannot be undone: look with --dry-run, then say --yes")
    typer.confirm(f"Remove what is known of {user}? It cannot be undone.", abort=True, err=True)


def _found(trace: Trace) -> dict[str, Any]:
    return {
        "jobs": len(trace.live),
        "dead_letters": sum(map(len, trace.letters.values())),
        "ledger_details": len(trace.told),
        "mails": len(trace.known),
    }


def _show(trace: Trace, done: dict[str, int], closed: dict[str, str]) -> None:
    for name, count in _found(trace).items():
        say(f"{name.replace('_', ' ')}: {count} found, {done.get(name, 0)} removed")
    if moved := done.get("dead_letters_moved"):
        say(f"{moved} dead letters of others have new places: they stood before")
    for key, standing in closed.items():
        say(f"{key}: {standing}")
    for key, why in trace.kept.items():
        say(f"[yellow]remains[/] {key}: {why}; run this again then")
    for line in ELSEWHERE:
        say(f"[dim]also: {line}[/]")
