"""``mailonce forecast``: how long a month will take, and a warning where that is too long."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mailonce.options import Json, Month, load
from mailonce.shown import console, print_json, say
from schemas.runtime.errors import MailonceError

if TYPE_CHECKING:
    from processor.core.forecast import Forecast
    from processor.core.pace import Account
    from schemas.runtime.settings import Settings

__all__ = ["app", "month_forecast", "warn_of_a_long_month"]

app = typer.Typer()


@app.command(epilog="Example: `mailonce forecast --month 2026-11` or `--mails 1000000`")
def forecast(
    month: Month,
    mails: Annotated[int | None, typer.Option(min=0, help="So many, instead of the month's pending jobs.")] = None,
    as_json: Json = False,
) -> None:
    """How long a month's mails will take, by the account's rate and daily quota."""
    from processor.ops.status import month_status

    settings = load()
    found = month_forecast(settings, mails if mails is not None else month_status(settings, month).pending)
    end = None if found.seconds is None else datetime.now(UTC) + timedelta(seconds=found.seconds)
    if as_json:
        return print_json(
            {
                "month": month,
                "mails": found.mails,
                "rate_per_s": found.rate or None,
                "per_day": None if math.isinf(found.per_day) else found.per_day,
                "seconds": found.seconds,
                "end": end and end.isoformat(timespec="seconds"),
            }
        )
    say(_sentence(found))
    if end is not None:
        say(f"started now, done by {end:%Y-%m-%d %H:%M} UTC")
    return None


def month_forecast(settings: Settings, mails: int, account: Account | None = None) -> Forecast:
    """By the account's limits, which SES is asked for unless they are given."""
    from processor.building import ask_account
    from processor.core.forecast import forecast
    from processor.core.pace import Limits
    from schemas.runtime.ending import run

    return forecast(mails, account or run(ask_account(settings)), Limits.of(settings))


def _sentence(found: Forecast) -> str:
    """The forecast in words."""
    mails = f"{found.mails:,} mails"
    if found.seconds is None:
        return f"{mails}: SES names no rate and no quota, so nothing says how long they take"
    limits = [f"{found.rate:,.1f} a second"] if found.rate else []
    limits += [] if math.isinf(found.per_day) else [f"{found.per_day:,.0f} a day"]
    days, rest = divmod(found.seconds, 86_400)
    took = f"{found.seconds / 86_400:.1f} days" if days else f"{timedelta(seconds=math.ceil(rest))}"
    return f"at {' and '.join(limits)} these {mails} take {took}"


def warn_of_a_long_month(settings: Settings, mails: int) -> None:
    """Says on standard error when so many mails cannot go out in the days the operator set."""
    try:
        found = month_forecast(settings, mails)
    except MailonceError:
        return  # the producer may run where nobody may ask SES
    if found.days is not None and found.days > settings.month_days_max:
        limit = f"more than the {settings.month_days_max:g} of MAILONCE_MONTH_DAYS_MAX"
        console(stderr=True).print(f"[yellow]warning:[/] {_sentence(found)}, {limit}", highlight=False)
