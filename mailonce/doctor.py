"""``mailonce doctor``: every check, and what to do about each finding."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import typer

from mailonce.options import EXIT_FOUND, Json, load
from mailonce.shown import print_json, say

if TYPE_CHECKING:
    from processor.doctor.finding import Finding
    from schemas.runtime.settings import Settings

__all__ = ["app"]

app = typer.Typer()

_MARKS = {"fine": "[green]✓[/]", "note": "[yellow]![/]", "bad": "[red]✗[/]"}


@app.command(epilog="Example: `mailonce doctor`")
def doctor(as_json: Json = False) -> None:
    """Look at Kafka, Redis, SES, the event feed and the clocks, and say what to do about each finding.

    Exit code 1 when something would keep mail from going out or break the promise.
    """
    found = []
    for finding in _examined(load()):
        found.append(finding)
        if not as_json:
            say(f"{_MARKS[finding.level]} {finding.area}: {finding.what}: {finding.found}", soft_wrap=True)
            if finding.todo:
                say(f"    → {finding.todo}", markup=False, soft_wrap=True)
    levels = [str(finding.level) for finding in found]
    if as_json:
        print_json([msgspec.to_builtins(finding) for finding in found])
    else:
        counts = [levels.count(level) for level in ("bad", "note", "fine")]
        say("{} to mend, {} to think about, {} fine".format(*counts))
    if "bad" in levels:
        raise typer.Exit(EXIT_FOUND)


def _examined(settings: Settings) -> Iterator[Finding]:
    """Each finding as it comes."""
    from processor.doctor.finding import examine
    from processor.doctor.kafka import check_kafka
    from processor.doctor.redis import check_redis
    from processor.doctor.ses import check_feed, check_ses

    checks = {"kafka": check_kafka, "redis": check_redis, "ses": check_ses, "events": check_feed}
    for area, check in checks.items():
        yield from examine(area, partial(check, settings))
