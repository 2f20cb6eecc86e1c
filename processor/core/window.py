"""What whoever follows ledger and attempts has read and must still know. Pure.

A key is kept as long as an intent of it is open: what was said of all others is in the set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from processor.core.checkpoint import NO_ENDS, Checkpoint, Cut, Ends, folded_on
from processor.core.claims import Folded, Intent, folded
from processor.core.standing import Entry, standing
from processor.core.states import Claim
from schemas.identity import Key

__all__ = ["KeyRows", "News", "Window"]


class KeyRows(NamedTuple):
    """What was read of a key, in order within each partition."""

    entries: list[tuple[int, Entry | None]]
    intents: list[tuple[int, Intent | None]]


class News(NamedTuple):
    """What the set is to be told of a key."""

    key: Key
    claim: str = ""
    """what the ledger says, as text; empty: nothing"""
    attempt: str = ""
    """of which attempt it says that"""
    withdrawn: tuple[tuple[str, str], ...] = ()
    """attempts that were withdrawn, each with the one that it overrode or nothing"""


class Window:
    """From the checkpoint to where the reading is.

    Args:
        since: the checkpoint.
    """

    def __init__(self, since: Checkpoint) -> None:
        self.read = since
        """up to where everything was read and applied"""
        self._rows: dict[Key, KeyRows] = {}
        """keys with open intents"""
        self._cut = Cut(NO_ENDS)

    def take(self, rows: Mapping[Key, KeyRows]) -> list[News]:
        """What was read since the last call: what the set is to be told of it, the keys that are kept included."""
        for key, (entries, intents) in rows.items():
            known = self._rows.setdefault(key, KeyRows([], []))
            known.entries.extend(entries)
            known.intents.extend(intents)
        return [self._news(key, rows.get(key)) for key in self._rows]

    def _news(self, key: Key, rows: KeyRows | None) -> News:
        if rows is None:
            return News(key)
        stands = standing(rows.entries)
        pairs = [(one.attempt, one.overrides) for _, one in rows.intents if one is not None and one.withdrawn]
        return News(key, stands.claim if stands else "", stands.attempt if stands else "", tuple(pairs))

    def applied(self, claims: Mapping[Key, Claim], ends: Ends) -> Checkpoint:
        """The set holds all of it: where the checkpoint may stand now.

        Args:
            claims: what the set says of the keys that it was told of.
            ends: up to where everything was read.
        """
        still: dict[Key, KeyRows] = {}
        cut = self._cut.later(ends)
        for key, rows in self._rows.items():
            cut.ended(rows.entries, rows.intents)
            if (found := _open(rows, claims[key])) is not None:
                still[key] = rows
                cut.hold(found.opened)
        self._rows, self._cut, self.read = still, cut, Checkpoint.at(ends)
        return cut.checkpoint()


def _open(rows: KeyRows, claim: Claim) -> Folded | None:
    """The key's fold where it has intents that a rebuild would restore as sending."""
    found = folded(rows.entries, rows.intents)
    if found is not None and found.opened:
        found = folded_on(claim, rows.entries, rows.intents)
    return found if found is not None and found.opened else None
