"""Topics and the dedup set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from processor.adapters.redis import RedisDedup
from processor.adapters.topics import create_topics
from processor.cli.shown import dedup_of, print_json
from processor.ops.dedup import Finding, rebuild, verify
from processor.ops.rebuild import Progress as Walk
from processor.ops.rebuild import Tell
from schemas.ending import run
from schemas.settings import Settings

__all__ = ["create_all_topics", "rebuild_dedup", "verify_dedup"]


def create_all_topics(settings: Settings, *, as_json: bool) -> None:
    states = create_topics(settings)
    if as_json:
        return print_json([{"topic": s.name, "created": s.created, "partitions": s.partitions} for s in states])
    for state in states:
        what = "created" if state.created else "exists, policy is right"
        Console().print(f"{state.name}: {what}, {state.partitions} partitions", highlight=False)
    return None


T = TypeVar("T")


def rebuild_dedup(settings: Settings, *, as_json: bool) -> None:
    count = run(_with_dedup(settings, lambda dedup, tell: rebuild(settings, dedup, tell)))
    if as_json:
        return print_json({"entries": count})
    Console().print(f"the dedup set is whole again: {count:,} entries from ledger and intents", highlight=False)
    return None


def verify_dedup(settings: Settings, *, as_json: bool) -> int:
    """Prints how set and ledger compare; returns 0, or 1 when the set could let a second mail out."""
    found = run(_with_dedup(settings, lambda dedup, tell: verify(settings, dedup, tell)))
    if as_json:
        print_json(found.to_dict())
    else:
        table = Table("finding", "keys", "for example")
        for finding in Finding:
            table.add_row(finding.value, f"{found.counts[finding]:,}", ", ".join(found.named.get(finding, [])[:3]))
        console = Console()
        console.print(table)
        console.print(
            "the marker stands" if found.whole else "the marker does not stand: nobody sends before a rebuild"
        )
        if not found.safe:
            console.print("[red]not safe[/]: `mailonce dedup rebuild` puts back what is missing", highlight=False)
    return 0 if found.safe else 1


async def _with_dedup(settings: Settings, step: Callable[[RedisDedup, Tell], Awaitable[T]]) -> T:
    """Runs a step on the dedup set behind a progress bar."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("partitions", total=None)

        def tell(at: Walk) -> None:
            bars.update(bar, completed=at.done, total=at.partitions, description=f"partitions, {at.entries:,} entries")

        async with dedup_of(settings) as dedup:
            return await step(dedup, tell)
