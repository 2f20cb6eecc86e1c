"""``mailonce suppressions``: addresses that get no more mail."""

from __future__ import annotations

from typing import Annotated

import typer

from mailonce.options import Json, Unmasked, Who, Why, load, login, now_ms
from mailonce.shown import console, print_json, say, table, utc

__all__ = ["app"]

app = typer.Typer(name="suppressions", no_args_is_help=True, help="Addresses that get no more mail.")

Address = Annotated[str, typer.Argument()]


@app.command("list", epilog="Example: `mailonce suppressions list --json`")
def list_(as_json: Json = False, unmasked: Unmasked = False) -> None:
    """Addresses that bounced for good, complained, or were added by hand."""
    from processor.ops.suppressions import list_suppressions
    from schemas.addresses import mask

    entries = list_suppressions(load())
    shown = [{"address": address if unmasked else mask(address), **about} for address, about in entries]
    if as_json:
        return print_json(shown)
    lines = table("address", "reason", "since (UTC)", "by the mail of", "detail")
    for entry in shown:
        mail = f"{entry['user_id']} {entry['month']}" if entry.get("user_id") else str(entry.get("by") or "")
        lines.add_row(entry["address"], entry["reason"], utc(entry["at_ms"]), mail, entry.get("detail", ""))
    return console().print(lines)


@app.command("add", epilog='Example: `mailonce suppressions add a@example.com --why "asked by phone"`')
def add(address: Address, why: Why, who: Who = None) -> None:
    """Send an address no more mail."""
    from processor.ops.suppressions import suppress
    from schemas.addresses import mask

    suppress(load(), address, who=login(who), why=why, at_ms=now_ms())
    say(f"{mask(address)} gets no more mail")


@app.command("remove", epilog="Example: `mailonce suppressions remove a@example.com`")
def remove(address: Address) -> None:
    """Let an address get mail again."""
    from processor.ops.suppressions import remove_suppression
    from schemas.addresses import mask

    remove_suppression(load(), address)
    say(f"{mask(address)} gets mail again, unless it is also on SES's own suppression list")
