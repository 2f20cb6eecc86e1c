"""Addresses that get no mail: looked at, added and removed by people. SES keeps a list of its own besides."""

from __future__ import annotations

from typing import Any

import msgspec

from processor.adapters.suppressions import Suppressions, write_suppression
from schemas.addresses import address_problem
from schemas.records import Suppression
from schemas.runtime.errors import UsageError
from schemas.runtime.settings import Settings

__all__ = ["list_suppressions", "remove_suppression", "suppress"]


def list_suppressions(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """Address and entry, in order of address. Raises `BrokerUnavailable`."""
    found = Suppressions(settings)
    found.refresh()
    return [(address, msgspec.to_builtins(entry)) for address, entry in sorted(found.own.items())]


def suppress(settings: Settings, address: str, *, who: str, why: str, at_ms: int) -> None:
    """Puts an address on the list. Raises `UsageError` for what is no address."""
    if problem := address_problem(address):
        raise UsageError(f"not an address: {problem}")
    write_suppression(settings, address.lower(), Suppression(reason="operator", at_ms=at_ms, detail=why, by=who))


def remove_suppression(settings: Settings, address: str) -> None:
    """Takes an address off the list. Raises `UsageError` when it is not there."""
    found = Suppressions(settings)
    found.refresh()
    if address.lower() not in found.own:
        raise UsageError("the address is not on mailonce's list: `mailonce suppressions list --unmasked` shows it")
    write_suppression(settings, address.lower(), None)
