"""``mailonce dedup``: the dedup set rebuilt, or held against the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from mailonce.options import EXIT_FOUND, Json, load, on_dedup, taking_part
from mailonce.shown import bars, console, print_json, say, table

if TYPE_CHECKING:
    from processor.ops.dedup import Verification
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
    found = _with_bar(lambda tell: on_dedup(settings, lambda dedup: verify(settings, dedup, tell)))
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found)
    if not found.safe:
        raise typer.Exit(EXIT_FOUND)


def _show(found: Verification) -> None:
    from processor.ops.dedup import Finding

    lines = table("finding", "keys", "for example")
    for finding in Finding:
        lines.add_row(finding.value, f"{found.counts[finding]:,}", ", ".join(found.named.get(finding, [])[:3]))
    console().print(lines)
    console().print("the marker stands" if found.whole else "the marker does not stand: nobody sends before a rebuild")
    if not found.safe:
        say("[red]not safe[/]: `mailonce dedup rebuild` puts back what is missing")


def _with_bar(step: Callable[[Tell], T]) -> T:
    """Runs a step on the dedup set behind a progress bar."""
    with bars() as shown:
        bar = shown.add_task("partitions", total=None)

        def tell(at: Progress) -> None:
            shown.update(bar, completed=at.done, total=at.partitions, description=f"partitions, {at.entries:,} entries")

        return step(tell)
