"""``mailonce topics``: the Kafka topics."""

from __future__ import annotations

from typing import Annotated

import typer

from mailonce.options import Json, Who, load, login, now_ms
from mailonce.shown import print_json, say
from schemas.runtime.errors import UsageError

__all__ = ["app"]

app = typer.Typer(name="topics", no_args_is_help=True, help="The Kafka topics.")


@app.command("create")
def create(as_json: Json = False) -> None:
    """Make the topics that are missing; refuse one whose cleanup policy would lose records."""
    from processor.adapters.topics import create_topics

    states = create_topics(load())
    if as_json:
        return print_json([{"topic": s.name, "created": s.created, "partitions": s.partitions} for s in states])
    for state in states:
        what = "created" if state.created else "exists, policy is right"
        say(f"{state.name}: {what}, {state.partitions} partitions")
    return None


@app.command("skip", epilog='Example: `mailonce topics skip 3:17 --why "damaged on disk"`')
def skip(
    place: Annotated[str, typer.Argument(metavar="P:N", help="Partition and offset in the jobs topic.")],
    why: Annotated[str, typer.Option("--why", help="Why: kept in the dead letter.")] = "",
    who: Who = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Pass over a batch of jobs that no client can read: a dead letter tells its place, and processors go on behind it.

    Whatever jobs it holds are not sent: run the producer again afterwards. Refused where the place can be read.
    """
    import sys

    from processor.ops import unreadable

    settings, decider = load(), login(who)
    batch = unreadable.look(settings, place)
    about = f"{settings.topics.jobs} {batch.partition}: offsets {batch.begins} to {batch.ends - 1}"
    if not dry_run:
        if not why:
            raise UsageError("it needs --why: it is kept in the dead letter")
        if not yes and not sys.stdin.isatty():
            raise UsageError("it cannot be undone: look with --dry-run, then say --yes")
        if not yes:
            typer.confirm(f"Pass over {about}? The jobs in there are not sent.", abort=True, err=True)
        unreadable.skip(settings, batch, decider, why, now_ms())
    if as_json:
        return print_json(
            {"partition": batch.partition, "from": batch.begins, "to": batch.ends - 1, "dry_run": dry_run}
        )
    return say(f"{about} {'would be' if dry_run else 'are'} passed over; the producer publishes again what they held")
