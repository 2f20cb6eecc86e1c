"""``mailonce status``: where a month stands, once or live."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailonce.forecast import month_forecast
from mailonce.options import Json, Month, load, now_ms
from mailonce.shown import console, print_json, table
from schemas.runtime.errors import MailonceError

if TYPE_CHECKING:
    from rich.console import Group

    from processor.core.outcomes import MonthCounts
    from processor.core.pace import Account
    from processor.ops.status import MonthView
    from schemas.runtime.settings import Settings

__all__ = ["app"]

app = typer.Typer()

WATCH_EVERY_S = 1.0
ASK_EVERY_S = 30.0


@app.command(epilog="Example: `mailonce status --month 2026-11 --watch`")
def status(
    month: Month,
    watch: Annotated[bool, typer.Option(help="Live, until nothing is pending; with --json a line a second.")] = False,
    as_json: Json = False,
) -> None:
    """Where a month stands: jobs and outcomes, what is pending where, rate, quota, expected end."""
    from processor.ops.status import MonthView
    from schemas.runtime.ending import run

    settings = load()
    view = MonthView(settings, month)
    if watch:
        return _watch(settings, view, as_json=as_json)
    now = run(_look(settings, view))
    return print_json(now.to_dict()) if as_json else console().print(_table(now))


@dataclass(slots=True)
class _Now:
    """A month at one moment, and what SES says of the account, if it says anything."""

    counts: MonthCounts
    sent_per_s: float
    lag: dict[int, int]
    paused: str | None
    quota_left: int | None
    ends_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        import msgspec

        counts = msgspec.to_builtins(self.counts)
        arrivals = counts.pop("arrivals")
        return {
            **counts,
            **arrivals,
            "sent_per_s": round(self.sent_per_s, 2),
            "pending_by_partition": self.lag,
            "paused": self.paused,
            "quota_left": self.quota_left,
            "expected_end": self.ends_at and self.ends_at.isoformat(timespec="seconds"),
        }


async def _look(settings: Settings, view: MonthView) -> _Now:
    """SES is asked while the topics are read."""
    import asyncio

    from schemas.runtime.ending import end, in_thread

    asked = asyncio.create_task(_asked(settings))
    try:
        counts = await in_thread(view.refresh)
        return _now(settings, view, counts, await asked)
    finally:
        await end(asked)


def _watch(settings: Settings, view: MonthView, *, as_json: bool) -> None:
    """Until the month has nothing pending, or Ctrl-C; with `as_json` a line each time."""
    from rich.live import Live

    account, asked_s = _account(settings), time.monotonic()
    with Live(console=console(), auto_refresh=False, screen=False) as live:
        while True:
            if time.monotonic() - asked_s > ASK_EVERY_S:
                account, asked_s = _account(settings), time.monotonic()
            now = _now(settings, view, view.refresh(), account)
            if as_json:
                print_json(now.to_dict())
                sys.stdout.flush()
            else:
                live.update(_table(now), refresh=True)
            if now.counts.jobs and not now.counts.pending:
                return
            time.sleep(WATCH_EVERY_S)


def _account(settings: Settings) -> Account | None:
    from schemas.runtime.ending import run

    return run(_asked(settings))


async def _asked(settings: Settings) -> Account | None:
    """Nothing where SES may not be asked: the topics tell the rest."""
    from processor.building import ask_account

    try:
        return await ask_account(settings)
    except MailonceError:
        return None


def _now(settings: Settings, view: MonthView, counts: MonthCounts, account: Account | None) -> _Now:
    from processor.core.pace import quota_left

    left, ends_at = None, None
    if account is not None:
        left = quota_left(account, settings.quota_reserve) if account.max_24_hour_send >= 0 else None
        seconds = month_forecast(settings, counts.pending, account).seconds if counts.pending else None
        ends_at = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    whole = None if left is None else int(left)
    lag = view.pending_by_partition()
    return _Now(counts, view.sent_per_s(now_ms()), lag, view.paused(), whole, ends_at)


def _table(now: _Now) -> Group:
    from rich.console import Group
    from rich.padding import Padding
    from rich.progress_bar import ProgressBar

    from processor.core.outcomes import STANDINGS, arrival_name
    from schemas.records import Arrival

    counts = now.counts
    lines = table("outcome", "jobs", title=f"month {counts.month}", right=[1])
    for name in STANDINGS:
        lines.add_row(name, f"{getattr(counts, name):,}")
    lines.add_section()
    lines.add_row("[bold]jobs", f"[bold]{counts.jobs:,}")
    came = [(arrival.value, getattr(counts.arrivals, arrival_name(arrival))) for arrival in Arrival]
    if any(many for _, many in came):
        lines.add_section()
        for name, many in came:
            lines.add_row(f"[dim]by SES's events:[/] {name}", f"{many:,}")
    bar = ProgressBar(total=max(counts.jobs, 1), completed=counts.jobs - counts.pending, width=40)
    facts = [f"PAUSED: {now.paused}"] if now.paused else []
    facts += [f"{now.sent_per_s:,.1f} mails a second in the last minute"]
    if now.quota_left is not None:
        facts.append(f"{now.quota_left:,} left of the 24 h quota")
    if now.ends_at is not None:
        facts.append(f"done by {now.ends_at:%Y-%m-%d %H:%M} UTC at the account's rate")
    lag = ", ".join(f"{partition}: {many:,}" for partition, many in now.lag.items())
    return Group(
        lines, Padding(bar, 0), "; ".join(facts), f"pending by partition  {lag}" if lag else "nothing is pending"
    )
