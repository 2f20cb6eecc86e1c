"""``mailonce dedup``: the dedup set rebuilt, held against the ledger, adopted from another installation, or
rid of old months."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mailonce.options import EXIT_FOUND, Json, Who, load, login, month_of, on_dedup, taking_part
from mailonce.shown import bars, console, print_json, say, table
from schemas.runtime.errors import UsageError

if TYPE_CHECKING:
    from processor.core.adoption import Found
    from processor.ops.dedup import Verification
    from processor.ops.floor import Plan
    from processor.recovery.rebuild import Progress, Tell

__all__ = ["app"]

T = TypeVar("T")

app = typer.Typer(name="dedup", no_args_is_help=True, help="What Redis knows of every mail.")


@app.command("rebuild")
def rebuild(as_json: Json = False) -> None:
    """Rebuild the dedup set from ledger and intents; nobody sends until it is done."""
    from processor.ops.dedup import rebuild

    settings = load()
    count = _with_bar(lambda tell: taking_part(settings, lambda part: rebuild(part, tell)))
    if as_json:
        return print_json({"entries": count})
    return say(f"the dedup set is whole again: {count:,} entries from ledger and intents")


@app.command("verify", epilog="Example: `mailonce dedup verify --json`")
def verify(as_json: Json = False) -> None:
    """Hold the dedup set against the ledger, key by key; exit code 1 when it could let a second mail out."""
    from processor.ops.dedup import verify

    settings = load()
    found = _with_bar(lambda tell: on_dedup(settings, lambda dedup: verify(settings, dedup, tell), looks=True))
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found)
    if not found.safe:
        raise typer.Exit(EXIT_FOUND)


@app.command("adopt", epilog="Example: `mailonce dedup adopt --dry-run`, then `mailonce dedup adopt --yes`")
def adopt(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it keeps and what becomes uncertain.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Take over a Redis, a cluster or topics that are another installation's: a cluster made anew, a Redis that moved.

    What was sent stays barred; calls whose fate is unknown become `uncertain`; a new topic is read from its beginning.
    Refused while processors run. Broken off, run it again.
    """
    from processor.ops import dedup

    settings, decider = load(), login(who)
    found = taking_part(settings, lambda part: dedup.look(part, dedup.adoption_of(settings, part)))
    _show_found(found, to_people=not as_json)
    told = _told_of(found) | {"dry_run": dry_run}
    if not found.why or dry_run:
        return print_json(told | {"adopted": False}) if as_json else None
    if not yes:
        _ask("Adopt it? Whoever it belonged to is refused from then on.")
    done = _with_bar(
        lambda tell: taking_part(
            settings, lambda part: dedup.adopt(part, dedup.adoption_of(settings, part), decider, tell)
        )
    )
    if as_json:
        about = {"installation": done.installation, "entries": done.entries}
        return print_json(told | {"adopted": True} | about | {"told_sent": done.sent, "told_uncertain": done.uncertain})
    return say(
        f"adopted: this is installation {done.installation}; the ledger was told of {done.sent:,} mails as sent and of "
        f"{done.uncertain:,} as uncertain (`mailonce uncertain list`); the dedup set is whole"
    )


@app.command(
    "floor", epilog="Example: `mailonce dedup floor --dry-run`, then `mailonce dedup floor --to 2025-11 --yes`"
)
def floor(
    to: Annotated[
        str | None, typer.Option("--to", metavar="MONTH", help="The first month that stays, YYYY-MM.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how it stands and how far it may rise.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Close old months for good, and give back their memory in Redis: nothing of them is ever sent again.

    `mailonce produce` does the same when it has opened a month. The floor rises at most to the newest opened month or
    the present one, whichever is earlier, less MAILONCE_RETENTION_MONTHS, and is never lowered. Refused while the
    clocks of this machine, Kafka and Redis are more than a day apart.
    """
    from processor.ops.floor import act_of, look, rise

    settings, month = load(), month_of(to) if to else ""
    before = on_dedup(settings, lambda dedup: look(act_of(settings, dedup)))
    after = before
    if not dry_run and (month or before.rises or before.set_floor < before.floor):
        if not yes:
            _ask(f"Close all months before {month or max(before.highest, before.floor)} for good?")
        decider = login(who)
        after = on_dedup(settings, lambda dedup: rise(act_of(settings, dedup), decider, month))
    if as_json:
        return print_json(
            {"floor": after.floor or None, "before": before.floor or None, "highest": after.highest or None}
            | {"set_floor": after.set_floor or None, "raised": after.floor > before.floor, "dry_run": dry_run}
        )
    for line in _floor_lines(before, after, dry_run=dry_run):
        say(line)
    return None


def _floor_lines(before: Plan, after: Plan, *, dry_run: bool) -> Iterator[str]:
    if after.floor > before.floor:
        yield f"months before {after.floor} are closed for good, and the dedup set has forgotten them"
    else:
        yield f"months before {after.floor} are closed for good" if after.floor else "no month is closed yet"
    if dry_run and after.rises:
        yield f"the floor may rise to {after.highest}"
    elif not after.highest:
        yield "no month was opened yet: `mailonce produce` opens one, and closes old ones with it"


def _ask(question: str) -> None:
    """Raises `Abort` unless a person agrees, and `UsageError` where there is none to be asked."""
    if not sys.stdin.isatty():
        raise UsageError("it cannot be undone: look with --dry-run, then say --yes")
    typer.confirm(question, abort=True, err=True)


def _told_of(found: Found) -> dict[str, Any]:
    """What it keeps and what becomes uncertain, for programs."""
    return {
        "why": found.why,
        "adopted_from": found.former or None,
        "kept_sent": found.sent,
        "uncertain": found.uncertain,
        "dropped": found.dropped,
        "places_void": found.closed,
    }


def _show_found(found: Found, *, to_people: bool) -> None:
    """On standard error where standard output is for programs."""
    out = console(stderr=not to_people)
    lines = found.why or ["nothing to adopt: cluster, topics and dedup set are this installation's"]
    if found.why:
        lines = [
            *lines,
            f"kept: {found.sent:,} mails as sent: they stay barred, and the ledger is told of those that it lacks",
            f"become uncertain: {found.uncertain:,} that are being sent or in doubt"
            + (f", and what the ledger lacks of {found.dropped:,} that SES dropped" if found.dropped else ""),
            f"void: {found.closed:,} places of records that ended without a mail; a new topic is read from its start",
        ]
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def _show(found: Verification) -> None:
    from processor.ops.dedup import Finding

    lines = table("finding", "keys", "for example")
    for finding in Finding:
        lines.add_row(finding.value, f"{found.counts[finding]:,}", ", ".join(found.named.get(finding, [])[:3]))
    console().print(lines)
    console().print("the marker stands" if found.whole else "the marker does not stand: nobody sends before a rebuild")
    if found.another:
        say(f"[red]not safe[/]: it is the set of installation {found.another}, not of this one: `mailonce dedup adopt`")
    elif not found.safe:
        say("[red]not safe[/]: `mailonce dedup rebuild` puts back what is missing")


def _with_bar(step: Callable[[Tell], T]) -> T:
    """Runs a step on the dedup set behind a progress bar."""
    with bars() as shown:
        bar = shown.add_task("partitions", total=None)

        def tell(at: Progress) -> None:
            shown.update(bar, completed=at.done, total=at.partitions, description=f"partitions, {at.entries:,} entries")

        return step(tell)
