"""The dead letters, shown."""

from __future__ import annotations

import json
from collections import Counter

from rich.console import Console
from rich.table import Table

from processor.cli.shown import print_json
from processor.ops.dead_letters import get_entry, list_entries
from schemas.settings import Settings

__all__ = ["list_dead_letters", "show_dead_letter"]


def list_dead_letters(settings: Settings, *, month: str | None, reason: str | None, as_json: bool, count: int) -> None:
    entries = list(list_entries(settings, month=month, reason=reason))
    if as_json:
        return print_json([entry.to_dict() for entry in entries[:count]])
    console = Console()
    table = Table("place", "key", "reason", "detail")
    for entry in entries[:count]:
        shown = entry.to_dict()
        table.add_row(shown["place"], str(shown["key"]), shown["reason"], shown["detail"])
    console.print(table)
    for why, many in Counter(entry.letter.reason for entry in entries).most_common():
        console.print(f"{many:>7,}  {why}", highlight=False)
    if len(entries) > count:
        console.print(f"{len(entries):,} in all; --count shows more")
    return None


def show_dead_letter(settings: Settings, place: str, *, as_json: bool) -> None:
    about = get_entry(settings, place).to_dict(whole=True)
    if as_json:
        return print_json(about)
    for name, value in about.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        Console().print(f"[bold]{name}[/]:", shown, highlight=False, soft_wrap=True)
    return None
