"""Corrected rows: no call for an older record begins after ``produce`` has returned.

A few are closed one by one in the dedup set, at once. More, and those that cannot be closed there (Redis is away, or
the set is not whole), hold once every processor's heartbeat has told that it has read the newer ones: without Redis.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.ops.closing import Correction, Standing
    from producer.publish import Replaced
    from schemas.runtime.settings import Settings

__all__ = ["Corrections", "corrected_lines"]

BY_PLACE_MAX = 500
"""rows"""
NAMED_MAX = 20


class Corrections:
    """Closes what is replaced, and counts what it found."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: Counter[str] = Counter()
        self._named: dict[str, list[str]] = {"sent": [], "in_flight": []}
        self._closed = 0
        self._open: list[Correction] = []
        """not closed in the set"""
        self._unheard: list[str] = []

    def close(self, replaced: list[Replaced]) -> None:
        """Older records of these count no more; the newer ones do. `finish` says when that holds of all."""
        from mailonce.options import on_dedup
        from processor.ops.closing import Correction, Standing, close_at
        from schemas.runtime.errors import RedisUnavailable

        corrections = [Correction(one.key, one.partition, one.offset, one.fingerprint) for one in replaced]
        found = [Standing.LATER] * len(corrections)
        if self._closed + len(corrections) <= BY_PLACE_MAX:
            # Up to the record before: the newer one itself is to be granted.
            places = [(one.key, one.partition, one.offset - 1) for one in corrections]
            with contextlib.suppress(RedisUnavailable):
                found = on_dedup(self._settings, lambda dedup: close_at(self._settings, dedup, places))
            self._closed += len(corrections)
        self._open += self._note(corrections, found)

    @contextlib.contextmanager
    def held_to(self) -> Iterator[None]:
        """Whatever ends the block early, what was replaced by then is closed and told of on standard error."""
        from mailonce.shown import console
        from schemas.runtime.errors import MailonceError

        try:
            yield
        except MailonceError:
            with contextlib.suppress(MailonceError):
                self.finish()
                for line in corrected_lines(self.to_dict()):
                    console(stderr=True).print(line, highlight=False)
            raise

    def finish(self) -> None:
        """Returns once no processor claims for an older record of any of these, or some do not answer."""
        from mailonce.options import on_dedup
        from processor.ops.closing import Standing, heard, look_at
        from schemas.runtime.ending import run
        from schemas.runtime.errors import RedisUnavailable

        if not self._open:
            return
        ends: dict[int, int] = {}
        for one in self._open:
            ends[one.partition] = max(one.offset + 1, ends.get(one.partition, 0))
        self._unheard = run(heard(self._settings, ends))
        try:
            found = on_dedup(self._settings, lambda dedup: look_at(self._settings, dedup, self._open))
        except RedisUnavailable:
            found = [Standing.LATER] * len(self._open)
        unseen = self._note(self._open, found)
        if self._unheard:
            # What is sent or in flight is known; the rest may still be called for.
            self._found["later"] += len(self._open) - sum(one in (Standing.SENT, Standing.IN_FLIGHT) for one in found)
        else:
            self._found["unseen"] += len(unseen)

    def _note(self, corrections: list[Correction], found: list[Standing]) -> list[Correction]:
        """Counts what is known; returns those of which nothing is."""
        unknown = []
        for one, standing in zip(corrections, found, strict=True):
            name = standing.name.lower()
            if name == "later":
                unknown.append(one)
                continue
            self._found[name] += 1
            if name in self._named and len(self._named[name]) < NAMED_MAX:
                self._named[name].append(str(one.key))
        return unknown

    def to_dict(self) -> dict[str, Any]:
        """How many changed rows were too late, and how many a processor that runs now may still send as they were."""
        return {
            "changed_after_sending": self._found["sent"],
            "changed_after_sending_keys": self._named["sent"],
            "changed_in_flight": self._found["in_flight"],
            "changed_in_flight_keys": self._named["in_flight"],
            "changed_not_closed": self._found["later"],
            "changed_unheard": self._unheard,
            "changed_unseen": self._found["unseen"],
        }


def corrected_lines(facts: dict[str, Any]) -> Iterator[str]:
    """What to say of them, a line each."""
    if many := facts["changed_after_sending"]:
        yield f"[yellow]{many:,} of these were sent already, as they were before[/]: {_named(facts, 'after_sending')}"
    if many := facts["changed_in_flight"]:
        named = _named(facts, "in_flight")
        yield f"[yellow]{many:,} of these are in flight as they were before: their outcomes decide[/]: {named}"
    if many := facts["changed_unseen"]:
        yield (
            f"{many:,} of these are not sent any more as they were before; whether some were is not known: the dedup "
            f"set at MAILONCE_REDIS_URL does not answer or is not whole"
        )
    if many := facts["changed_not_closed"]:
        yield (
            f"[yellow]processors that run now may still send {many:,} of these as they were before[/]: they have not "
            f"been read in time by {', '.join(facts['changed_unheard'])}"
        )


def _named(facts: dict[str, Any], which: str) -> str:
    keys = facts[f"changed_{which}_keys"]
    return ", ".join(keys) + (", …" if len(keys) < facts[f"changed_{which}"] else "")
