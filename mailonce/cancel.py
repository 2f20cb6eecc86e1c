"""``mailonce cancel``: one mail that was not sent yet."""

from __future__ import annotations

import typer

from mailonce.options import MonthArgument, User, key_of, load, on_dedup
from mailonce.shown import say

__all__ = ["app"]

app = typer.Typer()


@app.command(epilog="Example: `mailonce cancel u-1042 2026-11`")
def cancel(user: User, month: MonthArgument) -> None:
    """Cancel one mail that was not sent yet, and say whether it was. Exit code 1, and nothing written, when nobody
    published it."""
    from processor.ops.cancel import cancel as publish

    settings, key = load(), key_of(user, month)
    found = on_dedup(settings, lambda dedup: publish(settings, key, dedup))
    say(f"cancellation of {key} published: {found.value}; `mailonce show` tells its outcome")
