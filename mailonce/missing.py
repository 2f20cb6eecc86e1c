"""``mailonce missing``: who of a source has no mail, and why."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from mailonce.options import EXIT_FOUND, Encoding, Json, Maps, Month, Rows, Where, load, open_rows
from mailonce.shown import console, print_json, say, table

if TYPE_CHECKING:
    from processor.ops.missing import Missing

__all__ = ["app"]

app = typer.Typer()

SHOWN_MAX = 100


@app.command(epilog="Example: `mailonce missing --month 2026-11 --source users.csv --csv > missing.csv`")
def missing(
    month: Month,
    source: Rows,
    maps: Maps = None,
    where: Where = None,
    encoding: Encoding = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="All of them, as CSV.")] = False,
    as_json: Json = False,
) -> None:
    """Who of a source has no mail, and why: never published, pending, dead, uncertain, suppressed, cancelled, bounced…

    Exit code 1 when there is somebody.
    """
    import csv

    import msgspec

    from processor.ops.missing import find_missing
    from producer.sources.shaped import parse_shape

    user_ids = open_rows(source, month, parse_shape(maps, where, encoding=encoding)).user_ids()
    found = list(find_missing(load(), month, user_ids))
    if as_json:
        print_json([msgspec.to_builtins(one) for one in found])
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(["line", "user_id", "why", "detail"])
        writer.writerows((one.line, one.user_id, one.why, one.detail) for one in found)
    else:
        _show(found)
    if found:
        raise typer.Exit(EXIT_FOUND)


def _show(found: list[Missing]) -> None:
    if not found:
        return say("everybody has mail")
    lines = table("line", "user", "why", "detail")
    for one in found[:SHOWN_MAX]:
        lines.add_row(str(one.line), one.user_id, one.why, one.detail)
    console().print(lines)
    for why, many in Counter(one.why for one in found).most_common():
        say(f"{many:>7,}  {why}")
    many = len(found)
    more = f" ({many:,}; the first {SHOWN_MAX} are shown, --csv gives all)" if many > SHOWN_MAX else ""
    return say(f"without mail: {many:,}{more}")
