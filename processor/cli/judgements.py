"""What people decide: doubts and suppressed addresses."""

from __future__ import annotations

from importlib.metadata import version

from rich.console import Console
from rich.table import Table

from processor.adapters.doubts import Doubt
from processor.cli.shown import dedup_of, key_of, now_ms, print_json, utc
from processor.ops.suppressions import list_suppressions, remove_suppression, suppress
from processor.ops.uncertain import Decision, Resolution, describe, doubts_of, resolve
from schemas.addresses import mask
from schemas.ending import run
from schemas.errors import UsageError
from schemas.settings import Settings

__all__ = ["add_suppression", "drop_suppression", "list_uncertain", "resolve_uncertain", "show_suppressions"]


def list_uncertain(settings: Settings, *, month: str | None, as_json: bool) -> None:
    entries = [describe(doubt) for doubt in doubts_of(settings, month)]
    if as_json:
        return print_json(entries)
    table = Table("user", "month", "attempt", "since (UTC)", "why")
    for entry in entries:
        since = utc(entry["at_ms"])
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
        key = key_of(user, month)
        chosen = [doubt for doubt in doubts_of(settings, month, decided=True) if doubt.key == key]
        if not chosen:
            raise UsageError(f"not in doubt: {key}; `mailonce show` tells its outcome")
    if not dry_run:
        decision = Decision(resolution, who, why, now_ms())
        run(_resolve_all(settings, chosen, decision))
    what = {"sent": "recorded as sent", "resend": "to be sent again", "dead": "dead-lettered"}[resolution]
    verb = "would be " if dry_run else ""
    Console().print(f"{len(chosen):,} mails {verb}{what}", highlight=False)


async def _resolve_all(settings: Settings, chosen: list[Doubt], decision: Decision) -> None:
    async with dedup_of(settings) as dedup:
        await resolve(settings, dedup, chosen, decision, version("mailonce"))


def show_suppressions(settings: Settings, *, as_json: bool, unmasked: bool) -> None:
    entries = list_suppressions(settings)
    shown = [{"address": address if unmasked else mask(address), **about} for address, about in entries]
    if as_json:
        return print_json(shown)
    table = Table("address", "reason", "since (UTC)", "by the mail of", "detail")
    for entry in shown:
        since = utc(entry["at_ms"])
        mail = f"{entry['user_id']} {entry['month']}" if entry.get("user_id") else str(entry.get("by") or "")
        table.add_row(entry["address"], entry["reason"], since, mail, entry.get("detail", ""))
    Console().print(table)
    return None


def add_suppression(settings: Settings, address: str, *, who: str, why: str) -> None:
    suppress(settings, address, who=who, why=why, at_ms=now_ms())
    Console().print(f"{mask(address)} gets no more mail", highlight=False)


def drop_suppression(settings: Settings, address: str) -> None:
    remove_suppression(settings, address)
    Console().print(
        f"{mask(address)} gets mail again, unless it is also on SES's own suppression list", highlight=False
    )
