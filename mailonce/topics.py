"""``mailonce topics``: the Kafka topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailonce.options import Json, Who, load, login, now_ms
from mailonce.shown import print_json, say
from schemas.runtime.errors import UsageError

if TYPE_CHECKING:
    from processor.ops.topics import Plan

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


@app.command("upgrade", epilog="Example: `mailonce topics upgrade --dry-run`")
def upgrade(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Make the topics of an earlier version, or of a shorter retention, keep what new ones keep.

    Jobs and ledger begin to age: records go that are older than MAILONCE_RETENTION_MONTHS and some. Refused where these
    are of a month that is not closed, or have no outcome. Start the processors again afterwards.
    """
    from processor.adapters.control import kafka_clock_ms
    from processor.ops import topics

    settings = load()
    plan = topics.look(settings, now_ms if dry_run else lambda: kafka_clock_ms(settings))
    if not dry_run:
        topics.refuse(plan)
        if plan.changes and not yes:
            _ask(plan)
        topics.carry_out(settings, plan)
    going = {name: sum(months.values()) for name, months in plan.going.items()}
    if as_json:
        changes = [
            {"topic": topic, "setting": name, "from": before, "to": after}
            for topic, changed, _ in plan.changes
            for name, (before, after) in changed.items()
        ]
        print_json({"changes": changes, "records_that_go": going, "open_months": plan.open_months, "dry_run": dry_run})
    else:
        _say_upgrade(plan, going, dry_run=dry_run)
    if dry_run:
        topics.refuse(plan)


def _ask(plan: Plan) -> None:
    import sys

    if not sys.stdin.isatty():
        raise UsageError("records may go: look with --dry-run, then say --yes")
    typer.confirm(f"Change {', '.join(change.topic for change in plan.changes)}?", abort=True, err=True)


def _say_upgrade(plan: Plan, going: dict[str, int], *, dry_run: bool) -> None:
    for topic, changed, _ in plan.changes:
        for name, (before, after) in changed.items():
            say(f"{topic}: {name} {'would be' if dry_run else 'is'} {after}, was {before}")
    for topic, count in going.items():
        say(f"{topic}: {count:,} records are past their time{'' if dry_run else ', Kafka removes them'}")
    if not plan.changes:
        say("every topic keeps what it should")


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
