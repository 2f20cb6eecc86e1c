"""``mailonce settings``: every setting, its value and what it means."""

from __future__ import annotations

import typer

from mailonce.options import Json, load
from mailonce.shown import console, print_json, table

__all__ = ["app"]

app = typer.Typer()


@app.command()
def settings(as_json: Json = False) -> None:
    """Every setting: value now, default, unit and meaning. Secrets are hidden."""
    from schemas.runtime.described import describe_settings

    rows = list(describe_settings(load()))
    if as_json:
        names = ("name", "value", "default", "meaning")
        return print_json([dict(zip(names, row, strict=True)) for row in rows], plain=True)
    return _show(rows)


def _show(rows: list[tuple[str, str, str, str]]) -> None:
    """What was set stands out."""
    from rich.text import Text

    lines = table("variable", "now", "default", "meaning")
    for name, now, default, meaning in rows:
        lines.add_row(name, Text(now, style="" if now == default else "bold"), Text(default), Text(meaning))
    console().print(lines)
