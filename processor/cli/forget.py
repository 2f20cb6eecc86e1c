"""Forgetting a person: what is found, what is removed, what remains and why."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console

from processor.cli.shown import dedup_of, print_json
from processor.ops.forget import Trace, find, forget
from schemas.ending import run
from schemas.settings import Settings

__all__ = ["forget_user"]

ELSEWHERE = (
    "email-events holds SES's events with the address for 35 days; Kafka removes them by age alone",
    "a suppressed address stays suppressed: `mailonce suppressions list`; whoever complained must not get mail again",
    "the source: a user who still stands there is published again next month",
    "SES, logs and backups are not mailonce's",
)


def forget_user(settings: Settings, user: str, *, dry_run: bool, as_json: bool) -> None:
    trace = find(settings, user)
    done = Counter({} if dry_run else run(_forget(settings, trace)))
    about: dict[str, Any] = {
        "user": user,
        "found": _found(trace),
        "removed": dict(done),
        "remains": {"mails": trace.kept, "events": trace.events},
    }
    if as_json:
        return print_json(about)
    console = Console()
    for name, count in about["found"].items():
        console.print(f"{name.replace('_', ' ')}: {count} found, {done.get(name, 0)} removed", highlight=False)
    if moved := done.get("dead_letters_moved"):
        console.print(f"{moved} dead letters of others have new places: they stood before", highlight=False)
    for key, why in trace.kept.items():
        console.print(f"[yellow]remains[/] {key}: {why}; run this again then", highlight=False)
    for line in ELSEWHERE:
        console.print(f"[dim]also: {line}[/]", highlight=False)
    return None


def _found(trace: Trace) -> dict[str, Any]:
    return {
        "jobs": len(trace.live),
        "dead_letters": sum(map(len, trace.letters.values())),
        "ledger_details": len(trace.told),
        "mails": len(trace.known),
    }


async def _forget(settings: Settings, trace: Trace) -> Counter[str]:
    async with dedup_of(settings) as dedup:
        return await forget(settings, trace, dedup)
