"""What several commands take, and what they run with: settings, a source's rows, the dedup set."""

from __future__ import annotations

import getpass
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from schemas.identity import Key, check_month
from schemas.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from processor.adapters.redis import RedisDedup
    from processor.recovery.part import Part
    from producer.sources.shaped import Shape
    from producer.staging.staged import Staged
    from schemas.runtime.settings import Settings

__all__ = [
    "EXIT_BAD_DATA",
    "EXIT_FOUND",
    "TEMPLATE",
    "Encoding",
    "Json",
    "Maps",
    "MetricsPort",
    "Month",
    "MonthArgument",
    "OnlyMonth",
    "Rows",
    "Template",
    "Unmasked",
    "User",
    "Where",
    "Who",
    "Why",
    "key_of",
    "load",
    "login",
    "month_of",
    "now_ms",
    "on_dedup",
    "open_rows",
    "parse_time",
    "taking_part",
]

T = TypeVar("T")

# Exit codes of an answer; those of errors stand in `schemas.runtime.errors`.
EXIT_FOUND = 1
"""What was looked for is there, or what should be is not."""
EXIT_BAD_DATA = 3


def month_of(text: str) -> str:
    """The month as written; raises `BadParameter`."""
    try:
        return check_month(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Month = Annotated[str, typer.Option("--month", "-m", callback=month_of, help="The month, YYYY-MM.")]
MonthArgument = Annotated[str, typer.Argument(metavar="MONTH", callback=month_of, help="The month, YYYY-MM.")]
OnlyMonth = Annotated[str | None, typer.Option("--month", "-m", help="Only this month, YYYY-MM.")]
User = Annotated[str, typer.Argument(help="The user id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
MetricsPort = Annotated[
    int | None,
    typer.Option(help="Serve /metrics, /healthz and /readyz here, or on the next free port after it."),
]
Unmasked = Annotated[bool, typer.Option("--unmasked", help="Show whole addresses.")]
Why = Annotated[str, typer.Option(help="Why: kept with the record.")]
Who = Annotated[str | None, typer.Option(help="Who decides; your login name unless given.")]

Rows = Annotated[
    str,
    typer.Option(
        "--source", help="Where the users are: a file, a folder, - or a URI; columns user_id, email and the data."
    ),
]
Maps = Annotated[
    list[str] | None, typer.Option("--map", metavar="NAME=COLUMN", help="A column's other name; repeatable.")
]
Where = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only such rows (or NAME!=VALUE); repeatable.")
]
Encoding = Annotated[
    str | None, typer.Option(help="Of a text that is not UTF-8 and has no mark: cp1252, latin-1, utf-16-le, …")
]
Template = Annotated[str, typer.Option(help="Name of the SES template.")]
TEMPLATE = "monthly-usage"


def load(**overrides: Any) -> Settings:
    """The settings, with the logs set up as they say."""
    from schemas.runtime.logs import configure_logs
    from schemas.runtime.settings import load_settings

    settings = load_settings(**overrides)
    configure_logs(settings.log_format, settings.log_level)
    return settings


def login(given: str | None) -> str:
    """Who acts. Raises `UsageError` where nobody knows the user's name, as in many containers."""
    try:
        return given or getpass.getuser()
    except (KeyError, OSError):
        raise UsageError(f"this user ({os.getuid()}) has no name here: say who decides with --who") from None


def key_of(user: str, month: str) -> Key:
    """The mail's key; raises `UsageError`."""
    try:
        return Key(user, month)
    except ValueError as error:
        raise UsageError(str(error)) from None


def parse_time(text: str, option: str) -> int:
    """A time as milliseconds since 1970, UTC unless it says otherwise; raises `UsageError` that names the option."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option}: {text!r} is not a time: write 2026-11-01, 2026-11-01T08:30 (UTC) or 2026-11-01T08:30+01:00"
        ) from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def open_rows(uri: str, month: str, shape: Shape, *, notes: bool = True) -> Staged:
    """The source as the operator wants it seen; a slow one says how it comes along.

    What is to be known of how it was read is said on standard error, unless the caller says it (`notes`).

    Raises `SourceError`, and `UsageError` for a ``--map`` of a column that there is not.
    """
    from mailonce.shown import console
    from producer.sources.shaped import open_shaped

    told = console(stderr=True)
    with told.status("opening the source") as line:
        rows = open_shaped(uri, month, shape, line.update)
    for note in rows.staging.notes if notes else []:
        told.print(note, highlight=False, markup=False, soft_wrap=True)
    rows.check_renames()
    return rows


def on_dedup(settings: Settings, step: Callable[[RedisDedup], Awaitable[T]], *, looks: bool = False) -> T:
    """Runs a step on the dedup set, and lets go of Redis.

    Refuses another installation's, unless the step only looks. Raises `InstallationForeign` and `RedisForeign` then.
    """
    from processor.adapters.control import read_control
    from processor.adapters.redis import CLOSE_S, RedisDedup, connect
    from processor.recovery.part import refuse_foreign, under
    from schemas.runtime.ending import in_thread, run, within
    from schemas.runtime.errors import RedisUnavailable, RedisUntrusted

    async def go() -> T:
        client = connect(settings)
        dedup = RedisDedup.of(settings, client)
        control = await in_thread(read_control, settings)
        dedup.under = lambda: under(control)
        try:
            if not looks:
                try:
                    await refuse_foreign(settings, dedup, control)
                except RedisUntrusted:
                    raise
                except RedisUnavailable:
                    pass  # the step finds out by itself, and says what stands
            return await step(dedup)
        finally:
            await within(CLOSE_S, client.aclose())

    return run(go())


def taking_part(settings: Settings, step: Callable[[Part], Awaitable[T]]) -> T:
    """Runs a step of one of those that the others wait for, and lets go of Redis."""
    from processor.adapters.redis import CLOSE_S, connect
    from processor.recovery.part import Part
    from schemas.runtime.ending import run, within

    async def go() -> T:
        client = connect(settings)
        try:
            return await step(Part(settings, client, settings.instance_name()))
        finally:
            await within(CLOSE_S, client.aclose())

    return run(go())
