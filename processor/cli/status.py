"""Where a month stands, once or live; and who of a source has no mail, and why."""

from __future__ import annotations

import asyncio
import csv
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table

from processor.cli.month import month_forecast
from processor.cli.shown import now_ms, print_json
from processor.core.fold import STANDINGS, MonthCounts
from processor.core.pace import Account, quota_left
from processor.ops.missing import Missing, find_missing
from processor.ops.status import MonthView
from processor.wiring import ask_account
from schemas.ending import end, in_thread, run
from schemas.errors import MailonceError
from schemas.settings import Settings

__all__ = ["show_missing", "show_status"]

WATCH_EVERY_S = 1.0
ASK_EVERY_S = 30.0


@dataclass(slots=True)
class _Now:
    """A month at one moment, and what SES says of the account, if it says anything."""

    counts: MonthCounts
    sent_per_s: float
    lag: dict[int, int]
    quota_left: int | None
    ends_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        return {
            **msgspec.to_builtins(self.counts),
            "sent_per_s": round(self.sent_per_s, 2),
            "pending_by_partition": self.lag,
            "quota_left": self.quota_left,
            "expected_end": self.ends_at and self.ends_at.isoformat(timespec="seconds"),
        }


def show_status(settings: Settings, month: str, *, as_json: bool, watch: bool) -> None:
    view = MonthView(settings, month)
    if watch:
        return _watch(settings, view, as_json=as_json)
    now = run(_look(settings, view))
    if as_json:
        return print_json(now.to_dict())
    Console().print(_table(now))
    return None


async def _look(settings: Settings, view: MonthView) -> _Now:
    """SES is asked while the topics are read."""
    asked = asyncio.create_task(_asked(settings))
    try:
        counts = await in_thread(view.refresh)
        return _now(settings, view, counts, await asked)
    finally:
        await end(asked)


def _watch(settings: Settings, view: MonthView, *, as_json: bool) -> None:
    """Until the month has nothing pending, or Ctrl-C; with `as_json` a line each time."""
    account, asked_s = _account(settings), time.monotonic()
    with Live(console=Console(), auto_refresh=False, screen=False) as live:
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
    return run(_asked(settings))


async def _asked(settings: Settings) -> Account | None:
    """Nothing where SES may not be asked: the topics tell the rest."""
    try:
        return await ask_account(settings)
    except MailonceError:
        return None


def _now(settings: Settings, view: MonthView, counts: MonthCounts, account: Account | None) -> _Now:
    left, ends_at = None, None
    if account is not None:
        left = quota_left(account, settings.quota_reserve) if account.max_24_hour_send >= 0 else None
        seconds = month_forecast(settings, counts.pending, account).seconds if counts.pending else None
        ends_at = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    whole = None if left is None else int(left)
    return _Now(counts, view.sent_per_s(now_ms()), view.pending_by_partition(), whole, ends_at)


def _table(now: _Now) -> Group:
    counts = now.counts
    table = Table("outcome", "jobs", title=f"month {counts.month}")
    table.columns[1].justify = "right"
    for name in STANDINGS:
        table.add_row(name, f"{getattr(counts, name):,}")
    table.add_section()
    table.add_row("[bold]jobs", f"[bold]{counts.jobs:,}")
    bar = ProgressBar(total=max(counts.jobs, 1), completed=counts.jobs - counts.pending, width=40)
    facts = [f"{now.sent_per_s:,.1f} mails a second in the last minute"]
    if now.quota_left is not None:
        facts.append(f"{now.quota_left:,} left of the 24 h quota")
    if now.ends_at is not None:
        facts.append(f"done by {now.ends_at:%Y-%m-%d %H:%M} UTC at the account's rate")
    lag = ", ".join(f"{partition}: {many:,}" for partition, many in now.lag.items())
    return Group(
        table, Padding(bar, 0), "; ".join(facts), f"pending by partition  {lag}" if lag else "nothing is pending"
    )


def show_missing(
    settings: Settings, month: str, user_ids: Iterable[tuple[int, str]], *, as_json: bool, as_csv: bool
) -> int:
    """Prints who of a source has no mail, and why; returns 0, or 1 when there is somebody."""
    found = list(find_missing(settings, month, user_ids))
    if as_json:
        print_json([msgspec.to_builtins(missing) for missing in found])
    elif as_csv:
        _write_csv(found)
    else:
        table = Table("line", "user", "why", "detail")
        for missing in found[:100]:
            table.add_row(str(missing.line), missing.user_id, missing.why, missing.detail)
        console = Console()
        if found:
            console.print(table)
        for why, many in Counter(missing.why for missing in found).most_common():
            console.print(f"{many:>7,}  {why}", highlight=False)
        more = f" ({len(found):,}; the first 100 are shown, --csv gives all)" if len(found) > 100 else ""
        console.print(f"without mail: {len(found):,}{more}" if found else "everybody has mail", highlight=False)
    return 1 if found else 0


def _write_csv(found: list[Missing]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(["line", "user_id", "why", "detail"])
    writer.writerows(_cells(found))


def _cells(found: list[Missing]) -> Iterator[tuple[object, ...]]:
    return ((missing.line, missing.user_id, missing.why, missing.detail) for missing in found)
