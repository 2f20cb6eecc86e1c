"""Keys closed at a place: no call for an older record begins after that, and what was found is said."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from processor.core.states import Claim, State
from processor.ports import Dedup, Item, NotWhole
from schemas.identity import Key

__all__ = ["Standing", "close_at", "standing_of"]

CHUNK = 500


class Standing(StrEnum):
    """What became of a key's older records, at the moment when it was closed."""

    NEVER = "not sent and never will be"
    IN_FLIGHT = "in flight: its outcome decides"
    SENT = "sent already"
    IN_DOUBT = "in doubt: nobody knows SES's answer yet"
    DROPPED = "accepted by SES and dropped: it is not sent again"
    LATER = "no call follows: the dedup set is not whole, and whoever makes it whole reads this before"


def standing_of(claim: Claim) -> Standing:
    match claim.state:
        case State.SENDING:
            return Standing.IN_FLIGHT
        case State.SENT | State.SENT_RECORDED:
            return Standing.SENT
        case State.UNCERTAIN | State.UNCERTAIN_RECORDED:
            return Standing.IN_DOUBT
        case State.DROPPED:
            return Standing.DROPPED
        case _:
            return Standing.NEVER


async def close_at(dedup: Dedup, places: Sequence[tuple[Key, int, int]]) -> list[Standing]:
    """Closes each key up to a place (partition, offset), that one included; says how each stands.

    What stands there must be in the topic before. While the set is not whole nobody claims, and a processor that
    makes it whole reads its partitions to their ends before it does: the record alone is enough then. Raises
    `RedisUnavailable`; the same again does no harm.
    """
    found: list[Standing] = []
    for first in range(0, len(places), CHUNK):
        items = [Item(key, partition=p, offset=offset) for key, p, offset in places[first : first + CHUNK]]
        try:
            found += map(standing_of, await dedup.supersede(items))
        except NotWhole:
            found += [Standing.LATER] * len(items)
    return found
