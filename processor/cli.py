"""What the processor's commands print. The command line itself is in `mailonce`."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from processor.adapters.clock import SystemClock
from processor.adapters.doubts import Doubt
from processor.adapters.redis import RedisDedup, connect
from processor.adapters.templates import push_templates
from processor.adapters.topics import create_topics
from processor.core.forecast import Forecast, Limits, forecast
from processor.core.pace import Account
from processor.evidence.run import gather, gather_cloudtrail
from processor.ops.cancel import cancel
from processor.ops.dead_letters import get_entry, list_entries
from processor.ops.dedup import Finding, rebuild, verify
from processor.ops.rebuild import Progress as Walk
from processor.ops.rebuild import Tell
from processor.ops.status import Story, month_status, tell_story
from processor.ops.suppressions import list_suppressions, remove_suppression, suppress
from processor.ops.uncertain import Decision, Resolution, describe, doubts_of, resolve
from processor.wiring import make_sender
from schemas.addresses import mask
from schemas.errors import MailonceError, UsageError
from schemas.identity import Key
from schemas.settings import Settings

__all__ = [
    "add_suppression",
    "cancel_mail",
    "create_all_topics",
    "drop_suppression",
    "gather_evidence",
    "list_dead_letters",
    "list_uncertain",
    "push_all_templates",
    "rebuild_dedup",
    "resolve_uncertain",
    "show_dead_letter",
    "show_forecast",
    "show_mail",
    "show_status",
    "show_suppressions",
    "verify_dedup",
    "warn_of_a_long_month",
]

T = TypeVar("T")


def _json(answer: Any) -> None:
    print(json.dumps(answer, ensure_ascii=False))  # noqa: T201 - the answer


def _key(user: str, month: str) -> Key:
    try:
        return Key(user, month)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def create_all_topics(settings: Settings, *, as_json: bool) -> None:
    states = create_topics(settings)
    if as_json:
        return _json([{"topic": s.name, "created": s.created, "partitions": s.partitions} for s in states])
    for state in states:
        what = "created" if state.created else "exists, policy is right"
        Console().print(f"{state.name}: {what}, {state.partitions} partitions", highlight=False)
    return None


def push_all_templates(folder: Path, *, dry_run: bool) -> None:
    for pushed in push_templates(folder, dry_run=dry_run):
        needs = ", ".join(sorted(pushed.needs)) or "nothing"
        what = f"would be {pushed.what}" if dry_run and pushed.what != "unchanged" else pushed.what
        Console().print(f"{pushed.name}: {what}; needs {needs}", highlight=False)


def show_status(settings: Settings, month: str, *, as_json: bool) -> None:
    status = month_status(settings, month)
    if as_json:
        return _json(status.to_dict())
    table = Table("outcome", "jobs", title=f"month {month}")
    table.columns[1].justify = "right"
    for name in ("sent", "dead", "uncertain", "suppressed", "cancelled", "pending"):
        table.add_row(name, f"{getattr(status, name):,}")
    table.add_section()
    table.add_row("[bold]jobs", f"[bold]{status.jobs:,}")
    Console().print(table)
    return None


def show_forecast(settings: Settings, month: str, mails: int | None, *, as_json: bool) -> None:
    count = mails if mails is not None else month_status(settings, month).pending
    found = month_forecast(settings, count)
    end = None if found.seconds is None else datetime.now(UTC) + timedelta(seconds=found.seconds)
    if as_json:
        return _json(
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


def month_forecast(settings: Settings, mails: int) -> Forecast:
    """Asks SES for the account's limits."""

    async def ask() -> Account:
        sender = make_sender(settings)
        try:
            return await sender.account()
        finally:
            sender.close()

    limits = Limits(settings.rate_headroom, settings.rate_max, settings.rate_reserve, settings.quota_reserve)
    return forecast(mails, asyncio.run(ask()), limits)


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
    story = asyncio.run(_story(settings, _key(user, month)))
    if not unmasked:
        for job in story.jobs:
            if "email" in job:
                job["email"] = mask(job["email"])
    if as_json:
        _json(story.to_dict())
    else:
        _print_story(story)
    return 1 if story.outcome == "unknown" else 0


async def _story(settings: Settings, key: Key) -> Story:
    async with _dedup(settings) as dedup:
        return await tell_story(settings, dedup, key)


@asynccontextmanager
async def _dedup(settings: Settings) -> AsyncIterator[RedisDedup]:
    client = connect(settings)
    try:
        yield RedisDedup.of(settings, client)
    finally:
        await client.aclose()


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


def list_dead_letters(settings: Settings, *, month: str | None, reason: str | None, as_json: bool, count: int) -> None:
    entries = list(list_entries(settings, month=month, reason=reason))
    if as_json:
        return _json([entry.to_dict() for entry in entries[:count]])
    console = Console()
    table = Table("place", "key", "reason", "detail")
    for entry in entries[:count]:
        shown = entry.to_dict()
        table.add_row(shown["place"], str(shown["key"]), shown["reason"], shown["detail"])
    console.print(table)
    for why, many in Counter(entry.letter.reason for entry in entries).most_common():
        console.print(f"{many:>7,}  {why}", highlight=False)
    if len(entries) > count:
        console.print(f"{len(entries):,} in all; --count shows more")
    return None


def show_dead_letter(settings: Settings, place: str, *, as_json: bool) -> None:
    about = get_entry(settings, place).to_dict(whole=True)
    if as_json:
        return _json(about)
    for name, value in about.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        Console().print(f"[bold]{name}[/]:", shown, highlight=False, soft_wrap=True)
    return None


def gather_evidence(settings: Settings, *, drain: bool, cloudtrail: str | None, as_json: bool) -> None:
    if cloudtrail is not None:
        counts = gather_cloudtrail(settings, version("mailonce"), _now_ms, cloudtrail)
    else:
        counts = gather(settings, version("mailonce"), _now_ms, drain=drain)
    if as_json:
        return _json({name: counts[name] for name in _COUNTED})
    Console().print(
        f"{counts['events']:,} events: {counts['resolved']:,} doubts resolved, {counts['dropped']:,} dropped by SES, "
        f"{counts['bounced']:,} bounced, {counts['complained']:,} complained, {counts['resent']:,} resent by policy; "
        f"{counts['foreign']:,} of other mail, {counts['bad']:,} unreadable",
        highlight=False,
    )
    return None


_COUNTED = ("events", "resolved", "dropped", "bounced", "complained", "resent", "foreign", "bad")
_now_ms = SystemClock().now_ms


def list_uncertain(settings: Settings, *, month: str | None, as_json: bool) -> None:
    entries = [describe(doubt) for doubt in doubts_of(settings, month)]
    if as_json:
        return _json(entries)
    table = Table("user", "month", "attempt", "since (UTC)", "why")
    for entry in entries:
        since = _utc(entry["at_ms"])
        table.add_row(entry["user_id"], entry["month"], str(entry["attempt"]), since, str(entry["reason"]))
    Console().print(table)
    return None


def resolve_uncertain(
    settings: Settings, user: str | None, month: str, resolution: Resolution, *, who: str, why: str, dry_run: bool
) -> None:
    """Decides a user's doubtful mail of the month, or without a user every uncertain one."""
    if user is None:
        chosen = list(doubts_of(settings, month))
    else:
        key = _key(user, month)
        chosen = [doubt for doubt in doubts_of(settings, month, decided=True) if doubt.key == key]
        if not chosen:
            raise UsageError(f"not in doubt: {key}; `mailonce show` tells its outcome")
    if not dry_run:
        decision = Decision(resolution, who, why, _now_ms())
        asyncio.run(_resolve_all(settings, chosen, decision))
    what = {"sent": "recorded as sent", "resend": "to be sent again", "dead": "dead-lettered"}[resolution]
    verb = "would be " if dry_run else ""
    Console().print(f"{len(chosen):,} mails {verb}{what}", highlight=False)


async def _resolve_all(settings: Settings, chosen: list[Doubt], decision: Decision) -> None:
    async with _dedup(settings) as dedup:
        await resolve(settings, dedup, chosen, decision, version("mailonce"))


def show_suppressions(settings: Settings, *, as_json: bool, unmasked: bool) -> None:
    entries = list_suppressions(settings)
    shown = [{"address": address if unmasked else mask(address), **about} for address, about in entries]
    if as_json:
        return _json(shown)
    table = Table("address", "reason", "since (UTC)", "by the mail of", "detail")
    for entry in shown:
        since = _utc(entry["at_ms"])
        mail = f"{entry['user_id']} {entry['month']}" if entry.get("user_id") else str(entry.get("by") or "")
        table.add_row(entry["address"], entry["reason"], since, mail, entry.get("detail", ""))
    Console().print(table)
    return None


def add_suppression(settings: Settings, address: str, *, who: str, why: str) -> None:
    suppress(settings, address, who=who, why=why, at_ms=_now_ms())
    Console().print(f"{mask(address)} gets no more mail", highlight=False)


def drop_suppression(settings: Settings, address: str) -> None:
    remove_suppression(settings, address)
    Console().print(
        f"{mask(address)} gets mail again, unless it is also on SES's own suppression list", highlight=False
    )


def rebuild_dedup(settings: Settings, *, as_json: bool) -> None:
    count = asyncio.run(_with_dedup(settings, lambda dedup, tell: rebuild(settings, dedup, tell)))
    if as_json:
        return _json({"entries": count})
    Console().print(f"the dedup set is whole again: {count:,} entries from ledger and intents", highlight=False)
    return None


def verify_dedup(settings: Settings, *, as_json: bool) -> int:
    """Prints how set and ledger compare; returns 0, or 1 when the set could let a second mail out."""
    found = asyncio.run(_with_dedup(settings, lambda dedup, tell: verify(settings, dedup, tell)))
    if as_json:
        _json(found.to_dict())
    else:
        table = Table("finding", "keys", "for example")
        for finding in Finding:
            table.add_row(finding.value, f"{found.counts[finding]:,}", ", ".join(found.named.get(finding, [])[:3]))
        console = Console()
        console.print(table)
        console.print(
            "the marker stands" if found.whole else "the marker does not stand: nobody sends before a rebuild"
        )
        if not found.safe:
            console.print("[red]not safe[/]: `mailonce dedup rebuild` puts back what is missing", highlight=False)
    return 0 if found.safe else 1


async def _with_dedup(settings: Settings, step: Callable[[RedisDedup, Tell], Awaitable[T]]) -> T:
    """Runs a step on the dedup set behind a progress bar."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("partitions", total=None)

        def tell(at: Walk) -> None:
            bars.update(bar, completed=at.done, total=at.partitions, description=f"partitions, {at.entries:,} entries")

        async with _dedup(settings) as dedup:
            return await step(dedup, tell)


def cancel_mail(settings: Settings, user: str, month: str) -> None:
    key = _key(user, month)
    cancel(settings, key)
    Console().print(
        f"cancellation of {key} published; `mailonce show` tells whether it came before the mail", highlight=False
    )
