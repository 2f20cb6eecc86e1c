"""``mailonce pause`` and ``mailonce resume``: a month stopped while it runs, and let go again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailonce.options import Json, OnlyMonth, Who, load, login, month_of, now_ms
from mailonce.shown import print_json, say

if TYPE_CHECKING:
    from schemas.control import Brake

__all__ = ["app"]

app = typer.Typer()


@app.command(epilog='Example: `mailonce pause --month 2026-11 --why "wrong template"`')
def pause(
    month: OnlyMonth = None,
    why: Annotated[str, typer.Option(help="Why: kept with the record, and said by every processor.")] = "by hand",
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Pause a month, or all, on every processor. Calls in flight end; nothing is lost or in doubt by it."""
    from processor.ops.brake import pause as stop

    _show(stop(load(), _which(month), why, login(who), now_ms()), as_json=as_json)


@app.command(epilog="Example: `mailonce resume --month 2026-11`")
def resume(month: OnlyMonth = None, who: Who = None, as_json: Json = False) -> None:
    """Let a paused month go on, or all, whatever had paused it: a person, its canary, too many undelivered mails."""
    from processor.ops.brake import resume as go_on

    _show(go_on(load(), _which(month), login(who), now_ms()), as_json=as_json)


def _which(month: str | None) -> str:
    from processor.core.brake import ALL

    return month_of(month) if month else ALL


def _show(brake: Brake, *, as_json: bool) -> None:
    if as_json:
        return print_json({"paused": brake.paused})
    for month, why in sorted(brake.paused.items()):
        say(f"paused {'every month' if month == '*' else month}: {why}", markup=False)
    return None if brake.paused else say("nothing is paused")
