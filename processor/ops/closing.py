"""Keys closed at a place: no call for an older record begins after that, and what was found is said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from functools import partial

from processor.adapters.clock import boot_s
from processor.adapters.control import read_control
from processor.adapters.redis import RedisDedup
from processor.core.states import Claim, State
from processor.ports import Item, NotWhole
from processor.recovery.part import under
from schemas.identity import Key
from schemas.runtime.ending import in_thread
from schemas.runtime.settings import Settings

__all__ = ["Standing", "close_at", "standing_of"]

CHUNK = 500
PATIENCE_S = 15.0
"""How long a rebuild is waited for: a heartbeat that somebody left behind looks like one for so long, too."""
AGAIN_S = 0.5


class Standing(StrEnum):
    """What became of a key's older records, at the moment when it was closed."""

    NEVER = "not sent and never will be"
    IN_FLIGHT = "in flight: its outcome decides"
    SENT = "sent already"
    IN_DOUBT = "in doubt: nobody knows SES's answer yet"
    DROPPED = "accepted by SES and dropped: it is not sent again"
    PAST = "its month is closed for good: nothing of it is sent any more"
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


async def close_at(settings: Settings, dedup: RedisDedup, places: Sequence[tuple[Key, int, int]]) -> list[Standing]:
    """Closes each key up to a place (partition, offset), that one included; says how each stands.

    What stands there must be in the topic before. The set's lineage is confirmed afterwards: a set that was left
    behind meanwhile would have closed nothing. While no set is whole nobody claims, and a processor reads its
    partitions to their ends once it knows the lineage and once the set is whole: the record alone is enough then; but
    a set that is being made whole just now is waited for, since its maker may have read before. Raises
    `RedisUnavailable` and `BrokerUnavailable`; the same again does no harm.
    """
    until_s = boot_s() + PATIENCE_S
    while True:
        control = await in_thread(read_control, settings)
        dedup.under = partial(under, control)
        found = await _closed(dedup, places)
        # The set has forgotten what became of closed months: `absent` says nothing there.
        past = [key.month < control.closed_before for key, _, _ in places]
        found = [Standing.PAST if closed else one for one, closed in zip(found, past, strict=True)]
        after = await in_thread(read_control, settings)
        rebuilt = Standing.LATER in found and bool(after.users_of_newest("", boot_s()))
        if after.newest == control.newest and not (rebuilt and boot_s() < until_s):
            return found
        await asyncio.sleep(AGAIN_S)


async def _closed(dedup: RedisDedup, places: Sequence[tuple[Key, int, int]]) -> list[Standing]:
    found: list[Standing] = []
    for first in range(0, len(places), CHUNK):
        items = [Item(key, partition=p, offset=offset) for key, p, offset in places[first : first + CHUNK]]
        try:
            found += map(standing_of, await dedup.supersede(items))
        except NotWhole:
            found += [Standing.LATER] * len(items)
    return found
