"""``mailonce replay``: in a group of its own beside the live one, or by moving the live group back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailonce.options import Json, MetricsPort, OnlyMonth, load, month_of, parse_time
from mailonce.shown import bars, console, print_json, say, table
from schemas.runtime.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from collections import Counter

    from processor.ops.replay import Start, WhereFrom
    from processor.shell.worker import Worker
    from schemas.runtime.settings import Settings

__all__ = ["app"]

app = typer.Typer()

Beginning = Annotated[bool, typer.Option("--from-beginning", help="Every job there is.")]
Time = Annotated[str | None, typer.Option(metavar="T", help="Jobs published since, UTC unless said.")]
Offset = Annotated[str | None, typer.Option(metavar="P:N,…", help="From these offsets; other partitions are left out.")]
DryRun = Annotated[bool, typer.Option(help="Say what would be attempted and skipped, send nothing.")]
ResetGroup = Annotated[bool, typer.Option(help="Move the live group there instead; refused while processors run.")]


@app.command(epilog="Example: `mailonce replay --from-time 2026-11-01T08:00 --month 2026-11 --dry-run`")
def replay(
    from_beginning: Beginning = False,
    from_time: Time = None,
    from_offset: Offset = None,
    month: OnlyMonth = None,
    dry_run: DryRun = False,
    reset_group: ResetGroup = False,
    metrics_port: MetricsPort = None,
    as_json: Json = False,
) -> None:
    """Read jobs again: what is settled is skipped, what is not is attempted. Safe at any time.

    It runs in a group of its own beside the live one and ends when it has caught up.
    """
    from processor.ops.replay import plan, where

    begin = _begin(from_beginning, from_time, from_offset)
    settings = load(metrics_port=metrics_port)
    chosen = month_of(month) if month else ""
    start = where(settings, begin, chosen)
    if dry_run:
        return _show_plan(plan(settings, start, chosen), as_json=as_json)
    if reset_group:
        if chosen:
            raise UsageError("--reset-group moves the whole group: it cannot be for one month; leave --month away")
        return _move_group(settings, start, as_json=as_json)
    counts, whole = _run(settings, start, chosen)
    if as_json:
        print_json({"month": month or None, **counts})
    else:
        _show_outcome(counts, whole)
    if not whole:
        raise Interrupted("stopped before the end: what is left is looked at by the next replay")
    return None


def _begin(beginning: bool, from_time: str | None, from_offset: str | None) -> WhereFrom:
    """Exactly one of the three; raises `UsageError`."""
    from processor.ops.dead_letters import parse_place
    from processor.ops.replay import FromOffsets, FromTime

    if beginning + (from_time is not None) + (from_offset is not None) != 1:
        raise UsageError("say where from: --from-beginning, --from-time T or --from-offset P:N[,P:N…]")
    if from_time is not None:
        return FromTime(parse_time(from_time, "--from-time"))
    if from_offset is not None:
        return FromOffsets(dict(parse_place(place.strip()) for place in from_offset.split(",")))
    return None


def _move_group(settings: Settings, start: Start, *, as_json: bool) -> None:
    from processor.ops.replay import set_group

    set_group(settings, settings.group_id, start.begins)
    if as_json:
        return print_json({"group": settings.group_id, "offsets": start.begins})
    places = ", ".join(f"{number}:{offset}" for number, offset in start.begins.items())
    return say(f"group {settings.group_id} goes on from {places}: start its processors")


def _run(settings: Settings, start: Start, month: str) -> tuple[dict[str, int], bool]:
    """Runs to the topic's end as of now; returns how many records were settled how, and whether that was all."""
    from processor.ops.replay import drop_group, set_group, told_before
    from processor.telemetry.meter import Meter
    from processor.wiring import Run, run_processor

    own = _own_group(settings)
    set_group(own, own.group_id, start.begins)
    meter = Meter()
    with bars(share=True, remaining=True) as shown:
        bar = shown.add_task("replay", total=1.0)
        began = shown.get_time()

        def look(worker: Worker) -> None:
            rate = worker.settled_count / max(shown.get_time() - began, 0.001)
            what = f"replay, {worker.settled_count:,} records, {rate:,.0f} a second"
            shown.update(bar, completed=start.share(worker.prefixes()), description=what)

        try:
            known = told_before(settings)
            ended = run_processor(own, Run(drain=True, month=month, told_before=known, meter=meter, look=look))
            if not ended.stopped:
                shown.update(bar, completed=1.0)
        finally:
            drop_group(settings, own.group_id)
    return meter.settled_by_outcome(), not ended.stopped


def _own_group(settings: Settings) -> Settings:
    """The settings with a group's name that nobody has, and with few words beside the bar."""
    import logging
    from uuid import uuid4

    from schemas.runtime.logs import configure_logs

    # One line a dead letter is enough beside a progress bar; a level set on purpose stays.
    if "log_level" not in settings.model_fields_set:
        configure_logs(settings.log_format, logging.getLevelName(logging.WARNING).lower())
    return settings.model_copy(update={"group_id": f"{settings.group_id}-replay-{uuid4().hex[:12]}"})


def _show_outcome(counts: dict[str, int], whole: bool) -> None:
    from processor.telemetry.meter import SKIPPED

    skipped = counts.get(SKIPPED, 0)
    others = {outcome: many for outcome, many in counts.items() if outcome != SKIPPED and many}
    if not others:
        return say(f"nothing was sent: {'all ' if whole else ''}{skipped:,} records were settled before")
    for outcome, many in sorted(others.items()):
        say(f"{many:>9,}  {outcome}")
    return say(f"{skipped:>9,}  settled before, skipped")


def _show_plan(found: dict[str, Counter[str]], *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    lines = table("month", "records whose key", "count", title="a replay would find", right=[2])
    for month, counts in found.items():
        for what, many in sorted(counts.items()):
            lines.add_row("unreadable key" if month == "?" else month, what, f"{many:,}")
    console().print(lines)
    attempts = sum(counts["would be attempted"] for counts in found.values())
    return say(f"{attempts:,} mails would be attempted" if attempts else "nothing would be sent")
