"""What whoever follows ledger and attempts has read and must still know. Pure.

A key is kept as long as an intent of it is open: what was said of all others is in the set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from processor.core.checkpoint import NO_ENDS, Checkpoint, Cut, Ends, held
from processor.core.claims import Intent
from processor.core.standing import Entry, standing
from processor.core.states import Claim
from schemas.identity import Key

__all__ = ["KeyRows", "News", "Open", "Window"]


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


class Open(NamedTuple):
    """An intent that holds the checkpoint back."""

    key: Key
    intent: Intent
    known_s: float
    """boot clock of the moment by which it was read"""


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
        self.open: list[Open] = []
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

    def applied(self, claims: Mapping[Key, Claim], ends: Ends, now_s: float = 0.0, floor: str = "") -> Checkpoint:
        """The set holds all of it: where the checkpoint may stand now.

        Args:
            claims: what the set says of the keys that it was told of.
            ends: up to where everything was read.
            now_s: boot clock, once it was read.
            floor: months before it are closed for good, and nothing of them is restored.
        """
        since = {one.intent.at: one.known_s for one in self.open}
        still: dict[Key, KeyRows] = {}
        cut, self.open = self._cut.later(ends), []
        for key, rows in self._rows.items():
            cut.ended(rows.entries, rows.intents)
            if key.month >= floor and (places := set(held(claims[key], *rows))):
                still[key] = rows
                cut.hold(places)
                opened = [intent for _, intent in rows.intents if intent is not None and intent.at in places]
                self.open += [Open(key, intent, since.get(intent.at, now_s)) for intent in opened]
        self._rows, self._cut, self.read = still, cut, Checkpoint.at(ends)
        return cut.checkpoint()

    def forget(self, gone: Iterable[Open]) -> None:
        """These do not stand in the topic any more: a newer record of their keys does."""
        for key, intent, _ in gone:
            rows = self._rows[key]
            self._rows[key] = rows._replace(intents=[one for one in rows.intents if one[1] != intent])
