"""``mailonce doctor``: every check, and what to do about each finding."""

from __future__ import annotations

from functools import partial

import msgspec
from rich.console import Console

from processor.cli.shown import print_json
from processor.doctor.finding import Level, examine
from processor.doctor.kafka import check_kafka
from processor.doctor.redis import check_redis
from processor.doctor.ses import check_feed, check_ses
from schemas.settings import Settings

__all__ = ["examine_all"]

_MARKS = {Level.FINE: "[green]✓[/]", Level.NOTE: "[yellow]![/]", Level.BAD: "[red]✗[/]"}


def examine_all(settings: Settings, *, as_json: bool) -> int:
    """Prints findings as they come; returns 0, or 1 when something is bad."""
    console, found = Console(), []
    checks = {"kafka": check_kafka, "redis": check_redis, "ses": check_ses, "events": check_feed}
    for area, check in checks.items():
        for finding in examine(area, partial(check, settings)):
            found.append(finding)
            if not as_json:
                line = f"{_MARKS[finding.level]} {finding.area}: {finding.what}: {finding.found}"
                console.print(line, highlight=False, soft_wrap=True)
                if finding.todo:
                    console.print(f"    → {finding.todo}", highlight=False, markup=False, soft_wrap=True)
    bad = sum(finding.level is Level.BAD for finding in found)
    if as_json:
        print_json([msgspec.to_builtins(finding) for finding in found])
    else:
        notes = sum(finding.level is Level.NOTE for finding in found)
        console.print(f"{bad} to mend, {notes} to think about, {len(found) - bad - notes} fine", highlight=False)
    return 1 if bad else 0
