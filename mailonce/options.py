"""Options that several commands share, and the settings they run with."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.identity import check_month

if TYPE_CHECKING:
    from schemas.settings import Settings

__all__ = [
    "Json",
    "Maps",
    "MetricsPort",
    "Month",
    "MonthArgument",
    "Unmasked",
    "User",
    "Who",
    "Why",
    "load",
    "login",
    "month_of",
]


def month_of(text: str) -> str:
    """The month as written; raises `BadParameter`."""
    try:
        return check_month(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Month = Annotated[str, typer.Option("--month", "-m", callback=month_of, help="The month, YYYY-MM.")]
MonthArgument = Annotated[str, typer.Argument(metavar="MONTH", callback=month_of, help="The month, YYYY-MM.")]
User = Annotated[str, typer.Argument(help="The user id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
MetricsPort = Annotated[
    int | None,
    typer.Option(help="Serve /metrics, /healthz and /readyz here, or on the next free port after it."),
]
Maps = Annotated[
    list[str] | None, typer.Option("--map", metavar="NAME=COLUMN", help="A column's other name; repeatable.")
]
Unmasked = Annotated[bool, typer.Option("--unmasked", help="Show whole addresses.")]
Why = Annotated[str, typer.Option(help="Why: kept with the record.")]
Who = Annotated[str | None, typer.Option(help="Who decides; your login name unless given.")]


def load(**overrides: Any) -> Settings:
    """The settings, with the logs set up as they say."""
    from schemas.logs import configure_logs
    from schemas.settings import load_settings

    settings = load_settings(**overrides)
    configure_logs(settings.log_format, settings.log_level)
    return settings


def login(given: str | None) -> str:
    """Who acts. Raises `UsageError` where nobody knows the user's name, as in many containers."""
    from schemas.errors import UsageError

    try:
        return given or getpass.getuser()
    except (KeyError, OSError):
        raise UsageError(f"this user ({os.getuid()}) has no name here: say who decides with --who") from None
