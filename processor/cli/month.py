"""A month: where it stands, how long it will take, one mail of it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from rich.console import Console

from processor.cli.shown import dedup_of, key_of, now_ms, print_json
from processor.core.forecast import Forecast, forecast
from processor.core.pace import Account, Limits
from processor.evidence.run import gather, gather_cloudtrail
from processor.ops.cancel import cancel
from processor.ops.status import Story, month_status, tell_story
from processor.wiring import ask_account
from schemas.addresses import mask
from schemas.ending import run
from schemas.errors import MailonceError
from schemas.identity import Key
from schemas.settings import Settings

__all__ = [
    "cancel_mail",
    "gather_evidence",
    "month_forecast",
    "sentence",
    "show_forecast",
    "show_mail",
    "warn_of_a_long_month",
]


def show_forecast(settings: Settings, month: str, mails: int | None, *, as_json: bool) -> None:
    count = mails if mails is not None else month_status(settings, month).pending
    found = month_forecast(settings, count)
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
    console = Console()
    console.print(sentence(found), highlight=False)
    if end is not None:
        console.print(f"started now, done by {end:%Y-%m-%d %H:%M} UTC", highlight=False)
    return None


def month_forecast(settings: Settings, mails: int, account: Account | None = None) -> Forecast:
    """By the account's limits, which SES is asked for unless they are given."""
    return forecast(mails, account or run(ask_account(settings)), Limits.of(settings))


def sentence(found: Forecast) -> str:
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
        Console(stderr=True).print(f"[yellow]warning:[/] {sentence(found)}, {limit}", highlight=False)


def show_mail(settings: Settings, user: str, month: str, *, as_json: bool, unmasked: bool) -> int:
    """Prints a mail's story; returns 0, or 1 when there is no such mail."""
    story = run(_story(settings, key_of(user, month)))
    if not unmasked:
        for job in story.jobs:
            if "email" in job:
                job["email"] = mask(job["email"])
    if as_json:
        print_json(story.to_dict())
    else:
        _print_story(story)
    return 1 if story.outcome == "unknown" else 0


async def _story(settings: Settings, key: Key) -> Story:
    async with dedup_of(settings) as dedup:
        return await tell_story(settings, dedup, key)


def _print_story(story: Story) -> None:
    console = Console()
    console.print(f"[bold]{story.key}[/]: {story.outcome}", highlight=False)
    sections = (
        ("job", story.jobs),
        ("intent", story.intents),
        ("outcome", story.outcomes),
        ("dead letter", story.dead_letters),
        ("event", story.events),
        ("dedup set", [story.claim] if story.claim else []),
    )
    for name, entries in sections:
        for entry in entries:
            console.print(f"[dim]{name}[/]", json.dumps(entry, ensure_ascii=False), highlight=False, soft_wrap=True)


def cancel_mail(settings: Settings, user: str, month: str) -> None:
    key = key_of(user, month)
    cancel(settings, key)
    Console().print(
        f"cancellation of {key} published; `mailonce show` tells whether it came before the mail", highlight=False
    )


def gather_evidence(settings: Settings, *, drain: bool, cloudtrail: str | None, as_json: bool) -> None:
    if cloudtrail is not None:
        counts = gather_cloudtrail(settings, version("mailonce"), now_ms, cloudtrail)
    else:
        counts = gather(settings, version("mailonce"), now_ms, drain=drain)
    if as_json:
        return print_json({name: counts[name] for name in _COUNTED})
    Console().print(
        f"{counts['events']:,} events: {counts['resolved']:,} doubts resolved, {counts['dropped']:,} dropped by SES, "
        f"{counts['bounced']:,} bounced, {counts['complained']:,} complained, {counts['resent']:,} resent by policy; "
        f"{counts['foreign']:,} of other mail, {counts['bad']:,} unreadable",
        highlight=False,
    )
    return None


_COUNTED = ("events", "resolved", "dropped", "bounced", "complained", "resent", "foreign", "bad")
