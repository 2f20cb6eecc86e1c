"""The dead letters: shown, counted, exported, sent back, put aside."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from processor.cli.shown import dedup_of, now_ms, print_json, utc
from processor.core.redrive import Redriven
from processor.ops.dead_letters import OPEN, Entry, Wanted, get_entries, list_entries
from processor.ops.redrive import Decided, discard, look, requeue
from processor.ops.status import tell_story
from schemas.ending import run
from schemas.errors import BadRecord, UsageError
from schemas.identity import Key
from schemas.records import Requeue
from schemas.settings import Settings

__all__ = [
    "discard_dead_letters",
    "export_dead_letters",
    "list_dead_letters",
    "parse_changes",
    "requeue_dead_letters",
    "show_dead_letter",
    "show_histogram",
]


def parse_changes(settings: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` each; raises `UsageError`."""
    changes = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise UsageError(f"--set: {setting!r} is not NAME=VALUE, for example email=anna@example.com")
        if name in {"user_id", "month", "v"}:
            raise UsageError(f"--set: {name} is the mail's identity; publish another job instead")
        changes[name] = value
    return changes


def list_dead_letters(settings: Settings, wanted: Wanted, *, as_json: bool, count: int) -> None:
    entries = list(list_entries(settings, wanted))
    if as_json:
        return print_json([entry.to_dict() for entry in entries[:count]])
    console = Console()
    table = Table("place", "key", "reason", "state", "since (UTC)", "detail")
    for entry in entries[:count]:
        shown = entry.to_dict()
        table.add_row(
            shown["place"], str(shown["key"]), shown["reason"], entry.state, utc(shown["at_ms"]), shown["detail"]
        )
    console.print(table)
    for why, many in Counter(entry.letter.reason for entry in entries).most_common():
        console.print(f"{many:>7,}  {why}", highlight=False)
    if len(entries) > count:
        console.print(f"{len(entries):,} in all; --count shows more")
    return None


def show_histogram(settings: Settings, wanted: Wanted, *, as_json: bool) -> None:
    """How many letters each reason has, by state."""
    counts: dict[str, Counter[str]] = {}
    for entry in list_entries(settings, wanted):
        counts.setdefault(entry.letter.reason, Counter())[entry.state] += 1
    ordered = sorted(counts.items(), key=lambda item: -item[1].total())
    if as_json:
        return print_json(dict(ordered))
    table = Table("reason", "letters", "open", "requeued", "discarded", "")
    most = max((states.total() for _, states in ordered), default=1)
    for reason, states in ordered:
        bar = "█" * max(1, round(states.total() / most * 30))
        numbers = [f"{many:,}" for many in (states.total(), states[OPEN], states["requeued"], states["discarded"])]
        table.add_row(reason, *numbers, bar)
    for column in table.columns[1:5]:
        column.justify = "right"
    Console().print(table)
    return None


def show_dead_letter(settings: Settings, place: str, *, as_json: bool) -> None:
    """A letter with its bytes and headers, and the whole story of its key."""
    (entry,) = get_entries(settings, [place])
    about = entry.to_dict(whole=True)
    try:
        key = Key.from_bytes(entry.record.key)
    except BadRecord:
        about["story"] = None
    else:
        about["story"] = run(_story(settings, key))
    if as_json:
        return print_json(about)
    for name, value in about.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        Console().print(f"[bold]{name}[/]:", shown, highlight=False, soft_wrap=True)
    return None


async def _story(settings: Settings, key: Key) -> dict[str, Any]:
    async with dedup_of(settings) as dedup:
        story = (await tell_story(settings, dedup, key)).to_dict()
    return {name: story[name] for name in ("outcome", "jobs", "intents", "outcomes", "events", "claim")}


_COLUMNS = ("place", "key", "reason", "state", "at", "tries", "detail", "source", "value")


def export_dead_letters(settings: Settings, wanted: Wanted, form: str) -> None:
    """To standard output, one letter a line. Raises `UsageError` for an unknown form."""
    if form not in {"csv", "jsonl"}:
        raise UsageError(f"--format is csv or jsonl, not {form!r}")
    writer = csv.DictWriter(sys.stdout, _COLUMNS, extrasaction="ignore")
    if form == "csv":
        writer.writeheader()
    for entry in list_entries(settings, wanted):
        about = entry.to_dict(whole=True)
        if form == "jsonl":
            print_json(about)
            continue
        source = entry.letter.source
        own = {"at": utc(entry.letter.at_ms), "source": f"{source.topic} {source.partition}:{source.offset}"}
        writer.writerow(about | own)


def requeue_dead_letters(
    settings: Settings,
    places: Sequence[str],
    wanted: Wanted | None,
    *,
    changes: dict[str, str],
    count_max: int | None,
    who: str,
    why: str,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Returns 0, or 1 when a letter that was named, or every letter found, was refused."""
    entries = _chosen(settings, places, wanted)[:count_max]
    if "email" in changes and len(entries) > 1:
        raise UsageError(f"--set email=… is for one letter; {len(entries)} were chosen")
    if changes and not why:
        raise UsageError("a correction needs --why: it is kept with the record")
    asked = Requeue(times=0, place="", who=who, why=why, at_ms=now_ms(), changes=changes)
    decided = look(settings, entries, asked)
    back = [one for one in decided if isinstance(one.follows, Redriven)]
    if not dry_run:
        _with_bar("requeueing", requeue(settings, decided, asked), len(back))
    _say_requeued(decided, dry_run=dry_run, as_json=as_json)
    refused = len(decided) - len(back)
    return 1 if refused and (places or not back) else 0


def _chosen(settings: Settings, places: Sequence[str], wanted: Wanted | None) -> list[Entry]:
    if bool(places) == (wanted is not None):
        raise UsageError("name letters by their places, or choose them with --reason, --month or --user")
    if wanted is not None:
        return list(list_entries(settings, wanted))
    return get_entries(settings, dict.fromkeys(places))


def _say_requeued(decided: Sequence[Decided], *, dry_run: bool, as_json: bool) -> None:
    back = [one.entry.place for one in decided if isinstance(one.follows, Redriven)]
    refused = {one.entry.place: one.follows.why for one in decided if not isinstance(one.follows, Redriven)}
    if as_json:
        return print_json({"requeued": back, "refused": refused, "dry_run": dry_run})
    console = Console()
    verb = "would go" if dry_run else "went"
    console.print(f"{len(back):,} letters {verb} back to the jobs topic", highlight=False)
    for place, why in list(refused.items())[:20]:
        console.print(f"  refused {place}: {why}", highlight=False, markup=False, soft_wrap=True)
    if len(refused) > 20:
        console.print(f"  … and {len(refused) - 20:,} more")
    return None


def discard_dead_letters(
    settings: Settings,
    places: Sequence[str],
    wanted: Wanted | None,
    *,
    who: str,
    why: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    entries = [entry for entry in _chosen(settings, places, wanted) if entry.state == OPEN]
    if not dry_run:
        _with_bar("marking", discard(settings, entries, who, why, now_ms()), len(entries))
    if as_json:
        return print_json({"discarded": [entry.place for entry in entries], "dry_run": dry_run})
    verb = "would be" if dry_run else "are"
    Console().print(f"{len(entries):,} letters {verb} marked as discarded; they stay where they are", highlight=False)
    return None


def _with_bar(what: str, steps: Iterator[int], total: int) -> None:
    if not total:
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task(what, total=total)
        for done in steps:
            bars.update(bar, completed=done)
