"""Corrected rows: the older records' keys are closed, so that no call for one begins after ``produce`` has returned.

A producer need not have Redis. Without it processors that start later are right all the same, for they read their
partitions to the end first; those that run know a newer record when they have read it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from producer.publish import Replaced
    from schemas.runtime.settings import Settings

__all__ = ["Corrections", "corrected_lines"]


class Corrections:
    """Closes what is replaced, and counts what it found."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: Counter[str] = Counter()
        self._away = False
        """Redis did not answer once: it is not asked for each batch."""

    def close(self, replaced: list[Replaced]) -> None:
        """Older records of these count no more; the newer ones do."""
        from mailonce.options import on_dedup
        from processor.ops.closing import Standing, close_at
        from schemas.runtime.errors import RedisUnavailable

        # Up to the record before: the newer one itself is to be granted.
        places = [(one.key, one.partition, one.offset - 1) for one in replaced]
        found = [Standing.LATER] * len(places)
        if not self._away:
            try:
                found = on_dedup(self._settings, lambda dedup: close_at(dedup, places))
            except RedisUnavailable:
                self._away = True
        self._found.update(standing.name.lower() for standing in found)

    def to_dict(self) -> dict[str, Any]:
        """How many changed rows were too late, and how many a processor that runs now may still send as they were."""
        return {
            "changed_after_sending": self._found["sent"],
            "changed_in_flight": self._found["in_flight"],
            "changed_not_closed": self._found["later"],
        }


def corrected_lines(facts: dict[str, Any]) -> Iterator[str]:
    """What to say of them, a line each."""
    if many := facts["changed_after_sending"]:
        yield f"[yellow]{many:,} of these were sent already, as they were before[/]"
    if many := facts["changed_in_flight"]:
        yield f"[yellow]{many:,} of these are in flight as they were before: their outcomes decide[/]"
    if many := facts["changed_not_closed"]:
        yield (
            f"[yellow]processors that run now may still send {many:,} of these as they were before: the dedup set at "
            f"MAILONCE_REDIS_URL does not answer or is not whole[/]; those that start later do not"
        )
