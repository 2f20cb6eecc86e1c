"""``mailonce replay``: in a group of its own beside the live one, or by moving the live group back."""

from __future__ import annotations

import logging
from collections import Counter
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from processor.cli.shown import parse_time, print_json
from processor.meter import SKIPPED, Meter
from processor.ops.dead_letters import parse_place
from processor.ops.replay import (
    FromOffsets,
    FromTime,
    Start,
    WhereFrom,
    drop_group,
    plan,
    set_group,
    told_before,
    where,
)
from processor.wiring import Run, run_processor
from processor.worker import Worker
from schemas.errors import Interrupted, UsageError
from schemas.logs import configure_logs
from schemas.settings import Settings

__all__ = ["parse_start", "replay"]


def parse_start(beginning: bool, from_time: str | None, from_offset: str | None) -> WhereFrom:
    """Exactly one of the three; raises `UsageError`."""
    if beginning + (from_time is not None) + (from_offset is not None) != 1:
        raise UsageError("say where from: --from-beginning, --from-time T or --from-offset P:N[,P:N…]")
    if from_time is not None:
        return FromTime(parse_time(from_time, "--from-time"))
    if from_offset is not None:
        return FromOffsets(dict(parse_place(place.strip()) for place in from_offset.split(",")))
    return None


def replay(
    settings: Settings, begin: WhereFrom, *, month: str, dry_run: bool, reset_group: bool, as_json: bool
) -> None:
    start = where(settings, begin)
    if dry_run:
        return _say_plan(plan(settings, start, month), as_json=as_json)
    if reset_group:
        if month:
            raise UsageError("--reset-group moves the whole group: it cannot be for one month; leave --month away")
        set_group(settings, settings.group_id, start.begins)
        if as_json:
            return print_json({"group": settings.group_id, "offsets": start.begins})
        places = ", ".join(f"{number}:{offset}" for number, offset in start.begins.items())
        Console().print(f"group {settings.group_id} goes on from {places}: start its processors", highlight=False)
        return None
    counts, whole = _run(settings, start, month)
    if as_json:
        print_json({"month": month or None, **counts})
    else:
        _say_outcome(counts, whole)
    if not whole:
        raise Interrupted("stopped before the end: what is left is looked at by the next replay")
    return None


def _run(settings: Settings, start: Start, month: str) -> tuple[dict[str, int], bool]:
    """Runs to the topic's end as of now; returns how many records were settled how, and whether that was all."""
    group = f"{settings.group_id}-replay-{uuid4().hex[:12]}"
    own = settings.model_copy(update={"group_id": group})
    # One line a dead letter is enough beside a progress bar; a level set on purpose stays.
    if "log_level" not in settings.model_fields_set:
        configure_logs(settings.log_format, logging.getLevelName(logging.WARNING).lower())
    set_group(own, group, start.begins)
    meter = Meter()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        bar = bars.add_task("replay", total=1.0)
        began = bars.get_time()

        def look(worker: Worker) -> None:
            rate = worker.settled_count / max(bars.get_time() - began, 0.001)
            what = f"replay, {worker.settled_count:,} records, {rate:,.0f} a second"
            bars.update(bar, completed=start.share(worker.prefixes()), description=what)

        try:
            known = told_before(settings)
            ended = run_processor(own, Run(drain=True, month=month, told_before=known, meter=meter, look=look))
            if not ended.stopped:
                bars.update(bar, completed=1.0)
        finally:
            drop_group(settings, group)
    return meter.settled_by_outcome(), not ended.stopped


def _say_outcome(counts: dict[str, int], whole: bool) -> None:
    console = Console()
    skipped = counts.get(SKIPPED, 0)
    others = {outcome: many for outcome, many in counts.items() if outcome != SKIPPED and many}
    if not others:
        all_of = "all " if whole else ""
        console.print(f"nothing was sent: {all_of}{skipped:,} records were settled before", highlight=False)
        return
    for outcome, many in sorted(others.items()):
        console.print(f"{many:>9,}  {outcome}", highlight=False)
    console.print(f"{skipped:>9,}  settled before, skipped", highlight=False)


def _say_plan(found: dict[str, Counter[str]], *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    table = Table("month", "records whose key", "count", title="a replay would find")
    table.columns[2].justify = "right"
    for month, counts in found.items():
        for what, many in sorted(counts.items()):
            table.add_row("unreadable key" if month == "?" else month, what, f"{many:,}")
    Console().print(table)
    attempts = sum(counts["would be attempted"] for counts in found.values())
    Console().print(f"{attempts:,} mails would be attempted" if attempts else "nothing would be sent", highlight=False)
    return None
