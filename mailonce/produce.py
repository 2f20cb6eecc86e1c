"""``mailonce produce``: a month's jobs published, and what of the source became none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailonce.corrected import Corrections, corrected_lines
from mailonce.forecast import warn_of_a_long_month
from mailonce.guard import AtTheDesk, compared_lines, present_months
from mailonce.options import (
    EXIT_BAD_DATA,
    TEMPLATE,
    Encoding,
    Json,
    Maps,
    Month,
    Rows,
    Template,
    Where,
    load,
    now_ms,
    on_dedup,
    open_rows,
)
from mailonce.shown import bars, console, follow, print_json
from schemas.identity import Key
from schemas.runtime.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from processor.core.control import Control
    from processor.ops.months import Opener
    from producer.guard import Limits
    from producer.month import Produced
    from producer.order import Order
    from producer.plan import OnDuplicate
    from producer.rejects import Rejects as RejectedRows
    from producer.rows import Source
    from producer.staging.staged import Staged
    from schemas.runtime.settings import Settings

__all__ = ["app"]

app = typer.Typer()

NOBODYS = ("unreadable-row", "bad-user-id", "missing-user-id")
"""Reasons for which a row is rejected without its user being known."""

Duplicate = Annotated[
    str, typer.Option(help="A user who stands there twice: `error` rejects all his rows, `last` takes the last.")
]
Rejects = Annotated[Path | None, typer.Option(help="Where rejected rows go (SOURCE-MONTH.rejects.csv).")]
Cancelled = Annotated[bool, typer.Option(help="Publish cancelled mails again.")]
Limit = Annotated[int | None, typer.Option(min=0, help="So many rows at the most, for a trial run.")]
Sample = Annotated[int, typer.Option(min=0, help="Show so many jobs, publish nothing.")]
Rate = Annotated[float, typer.Option(help="Jobs a second at the most, to spare a shared cluster; 0: all.")]
Expected = Annotated[int | None, typer.Option(min=0, help="Refuse a source that has not so many rows.")]
MaxDrop = Annotated[
    float, typer.Option(min=0, metavar="PERCENT", help="So many fewer mails than the month before are taken.")
]
Gone = Annotated[bool, typer.Option(help="Cancel unsent mails of users who are not in the source any more.")]
AnyMonth = Annotated[
    bool, typer.Option(help="Take a month that is neither this nor the next: for schedules that compute it.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask: month, drop, empty source and lacking data are meant.")]
DryRun = Annotated[bool, typer.Option(help="Say what would happen, publish nothing.")]


@app.command(
    epilog="Example: `mailonce produce --month 2026-11 --source users.csv --dry-run`; from cron, on the 1st: "
    '`mailonce produce --month "$(date -u -d yesterday +%Y-%m)" --any-month --source users.csv --max-drop 35`'
)
def produce(
    month: Month,
    source: Rows,
    template: Template = TEMPLATE,
    on_duplicate: Duplicate = "error",
    rejects: Rejects = None,
    include_cancelled: Cancelled = False,
    maps: Maps = None,
    where: Where = None,
    encoding: Encoding = None,
    limit: Limit = None,
    sample: Sample = 0,
    max_rate: Rate = 0,
    dry_run: DryRun = False,
    expect_rows: Expected = None,
    max_drop: MaxDrop = 20.0,
    cancel_gone: Gone = False,
    any_month: AnyMonth = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Publish a month's jobs. Re-runnable at any time; exit code 3 when rows were rejected.

    A source is a file (CSV, JSON, Parquet, Excel; compressed; a folder or a pattern; s3://…), - for standard input,
    duckdb:///query.sql, athena://DATABASE?query=FILE.sql&output=s3://…, or postgresql:// or mysql:// with
    ?query=FILE.sql.

    What looks wrong (a month that is neither this nor the next, far fewer mails than last month, no rows, data that the
    template cannot be filled in with) is asked on a terminal; elsewhere nothing is published, with exit code 10, until
    --yes. A template that does not exist is refused in any case.
    """
    from producer.guard import Limits, months_at_hand
    from producer.order import Order
    from producer.rejects import rejects_path
    from producer.sources.shaped import parse_shape

    order = Order(month, template, _duplicate(on_duplicate), include_cancelled, max_rate, dry_run, expect_rows)
    shape = parse_shape(maps, where, limit, encoding)
    if sample:
        return _show_sample(open_rows(source, month, shape), month, template, sample)
    settings = load()
    rows = open_rows(source, month, shape)
    limits = Limits(() if any_month else months_at_hand(present_months()), max_drop, cancel_gone)
    path = None if dry_run else rejects or rejects_path(source, rows.name, month)
    facts, rejected = _published(settings, rows, order, limits, path, yes=yes)
    _report(facts, rejected, as_json=as_json)
    if len(rejected):
        raise typer.Exit(EXIT_BAD_DATA)
    return None


def _published(
    settings: Settings, rows: Staged, order: Order, limits: Limits, rejects: Path | None, *, yes: bool
) -> tuple[dict[str, Any], RejectedRows]:
    """Publishes, and does what follows from it; returns what is to be told, and the rejected rows."""
    from processor.adapters.control import read_control
    from processor.ops.floor import refuse_closed
    from processor.ops.months import Opener, refuse_forgotten
    from producer.month import publish_month
    from producer.rejects import Rejects as RejectedRows

    control = read_control(settings)
    refuse_closed(control, order.month)
    refuse_forgotten(settings, control, order.month)
    corrections = Corrections(settings)
    with RejectedRows(rows, rejects) as rejected, bars(remaining=True) as shown:
        opener = Opener(settings, order.month, control)
        desk = AtTheDesk(settings, order, limits, yes=yes, pause=shown.stop)
        with corrections.held_to():
            done = publish_month(settings, rows, order, follow(shown), opener, corrections.close, rejected, desk)
        written = rejected.close(keep=True)
    corrections.finish()
    gone = _gone(settings, order, done, cancels=limits.cancels_gone)
    if not order.dry_run:
        _note(opener, done, gone["gone_cancelled"] or 0)
    floor = None if order.dry_run else _close_old_months(settings, opener.control)
    if done.published:
        warn_of_a_long_month(settings, done.published)
    facts = {"month": order.month, **done.to_dict(), **corrections.to_dict(), **gone, **desk.to_dict()}
    return facts | {"rejects_file": written, "floor": floor, "dry_run": order.dry_run}, rejected


def _gone(settings: Settings, order: Order, done: Produced, *, cancels: bool) -> dict[str, Any]:
    """Users who are published and not in the source: how many are unsent, and what became of these if `cancels`."""
    from processor.ops.cancel import cancel_all, unsent
    from processor.ops.closing import Standing

    names = ("gone_unsent", "gone_cancelled", "gone_too_late", "gone_kept")
    told: dict[str, Any] = dict.fromkeys(names)
    waiting: list[Key] = []
    if done.found.gone:
        waiting = unsent(settings, order.month, set(done.beside.gone_ids()))
        told["gone_unsent"] = len(waiting)
    if not cancels or order.dry_run:
        return told
    told["gone_kept"] = sum(done.rejects.by_reason.get(reason, 0) for reason in NOBODYS)
    if told["gone_kept"]:
        return told
    found = on_dedup(settings, lambda dedup: cancel_all(settings, waiting, dedup)) if waiting else []
    late = sum(one in {Standing.SENT, Standing.IN_FLIGHT, Standing.IN_DOUBT, Standing.DROPPED} for one in found)
    return told | {"gone_cancelled": len(found) - late, "gone_too_late": late}


def _note(opener: Opener, done: Produced, cancelled: int) -> None:
    """Keeps what the month holds now: the next one's producer compares with it."""
    import msgspec

    opened = opener.control.month(done.found.month)
    if opened is not None and (done.published or cancelled or opened.figures is None):
        figures = done.figures()
        opener.note(msgspec.structs.replace(figures, jobs=figures.jobs - cancelled))


def _close_old_months(settings: Settings, control: Control) -> str | None:
    """With a month that was opened old ones are closed for good; returns the floor to which that was done just now.

    Whatever is in its way keeps no job from being published: it is said, and the next month or `mailonce dedup floor`
    closes them.
    """
    from processor.ops.floor import act_of, may_rise, rise
    from schemas.runtime.errors import MailonceError

    if not may_rise(control, now_ms(), settings.retention_months):
        return None
    try:
        floor = on_dedup(settings, lambda dedup: rise(act_of(settings, dedup), "produce")).floor
    except MailonceError as error:
        warn = "[yellow]old months were not closed[/] (`mailonce dedup floor` does it later): "
        console(stderr=True).print(warn, end="")
        console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        return None
    return floor


def _duplicate(text: str) -> OnDuplicate:
    from producer.plan import OnDuplicate

    try:
        return OnDuplicate(text)
    except ValueError:
        raise UsageError(f"--on-duplicate is `error` or `last`, not {text!r}") from None


def _show_sample(source: Source, month: str, template: str, count: int) -> None:
    """The first jobs as they would be published, addresses masked."""
    from itertools import islice

    import msgspec

    from producer.plan import Reject, plan_of
    from schemas.addresses import mask

    for entry in islice(plan_of(source, month, template), count):
        if isinstance(entry, Reject):
            print_json({"rejected": entry.reason, "detail": entry.detail, "line": entry.line}, plain=True)
        else:
            print_json(msgspec.to_builtins(entry) | {"email": mask(entry.email)})


def _report(facts: dict[str, Any], rejects: RejectedRows, *, as_json: bool) -> None:
    if as_json:
        print_json(facts, plain=True)
        return
    told = console(stderr=True)
    verb = "would be published" if facts["dry_run"] else "published"
    told.print(f"[bold]{facts['published']:,}[/] jobs {verb} for {facts['month']}", highlight=False)
    if facts["changed"]:
        told.print(f"  {facts['changed']:,} of them with changed content", highlight=False)
        for line in corrected_lines(facts):
            told.print(f"  {line}", highlight=False)
    for line in compared_lines(facts):
        told.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if facts["unchanged"]:
        told.print(f"  {facts['unchanged']:,} unchanged, left as they are", highlight=False)
    if facts["floor"]:
        told.print(f"  months before {facts['floor']} are closed for good from now on", highlight=False)
    if facts["cancelled"]:
        told.print(f"  {facts['cancelled']:,} were cancelled and stay so (--include-cancelled)", highlight=False)
    for name, what in (("filtered", "left out by --where"), ("after_limit", "after --limit")):
        if facts[name]:
            told.print(f"  {facts[name]:,} {what}", highlight=False)
    if len(rejects):
        _report_rejects(told, facts, rejects)
    for text in facts["questions"].values():
        asks = "would be asked (--yes)" if facts["dry_run"] else "answered by --yes"
        told.print(f"[yellow]{asks}:[/] ", end="", highlight=False)
        told.print(text, highlight=False, markup=False, soft_wrap=True)


def _report_rejects(told: Console, facts: dict[str, Any], rejects: RejectedRows) -> None:
    told.print(f"[yellow]{len(rejects):,} rows rejected[/]", highlight=False)
    for reject in rejects.first:
        place = f"{reject.file or facts['source']}:{reject.line}"
        told.print(f"  {place}: {reject.reason}: {reject.detail}", highlight=False, markup=False, soft_wrap=True)
    if len(rejects) > len(rejects.first):
        told.print(f"  … and {len(rejects) - len(rejects.first):,} more", highlight=False)
    if facts["rejects_file"]:
        told.print(f"  all of them, with their rows: {facts['rejects_file']}", highlight=False, markup=False)
