"""Older records closed: no call for one begins after that, and what was found is said.

One key is closed at a place in the dedup set. Many are held by the processes' word that they have read the newer ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from processor.adapters.clock import boot_s
from processor.adapters.control import read_control
from processor.adapters.redis import RedisDedup
from processor.core.hearing import Hearing
from processor.core.states import Claim, State
from processor.ports import Item, NotWhole
from processor.recovery.part import under
from schemas.identity import Key
from schemas.runtime.ending import in_thread
from schemas.runtime.settings import Settings

__all__ = ["Correction", "Standing", "close_at", "heard", "look_at", "standing_of"]

CHUNK = 500
PATIENCE_S = 15.0
"""How long a rebuild is waited for: a heartbeat that somebody left behind looks like one for so long, too."""
AGAIN_S = 0.5
NO_PLACE = -1
"""No record stands there: nothing is closed, the key is looked at."""


class Standing(StrEnum):
    """What became of a key's older records, at the moment when it was closed."""

    NEVER = "not sent and never will be"
    IN_FLIGHT = "in flight: its outcome decides"
    SENT = "sent already"
    IN_DOUBT = "in doubt: nobody knows SES's answer yet"
    DROPPED = "accepted by SES and dropped: it is not sent again"
    PAST = "its month is closed for good: nothing of it is sent any more"
    LATER = "no call follows: the dedup set is not whole, and whoever makes it whole reads this before"


class Correction(NamedTuple):
    """A key's newer record."""

    key: Key
    partition: int
    offset: int
    fingerprint: str
    """of its content"""


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
    items = [Item(key, partition=partition, offset=offset) for key, partition, offset in places]
    control, until_s = await in_thread(read_control, settings), boot_s() + PATIENCE_S
    while True:
        dedup.under = partial(under, control)
        claims = await _superseded(dedup, items)
        found = [Standing.LATER if claim is None else standing_of(claim) for claim in claims]
        # The set has forgotten what became of closed months: `absent` says nothing there.
        past = [key.month < control.closed_before for key, _, _ in places]
        found = [Standing.PAST if closed else one for one, closed in zip(found, past, strict=True)]
        before, control = control.newest, await in_thread(read_control, settings)
        rebuilt = Standing.LATER in found and bool(control.users_of_newest("", boot_s()))
        if control.newest == before and not (rebuilt and boot_s() < until_s):
            return found
        await asyncio.sleep(AGAIN_S)


async def heard(settings: Settings, ends: Mapping[int, int]) -> list[str]:
    """Waits until no process claims any more for a record that was replaced before these ends of the jobs topic.

    Needs no Redis. Returns the instances that have not read so far in `patience_s`; empty: it holds. Raises
    `BrokerUnavailable`.
    """
    control = await in_thread(read_control, settings)
    hearing, until_s = Hearing(control, ends, boot_s()), boot_s() + settings.patience_s
    while (waits := hearing.listen(control, boot_s())) and boot_s() < until_s:
        await asyncio.sleep(AGAIN_S)
        control = await in_thread(read_control, settings)
    return sorted({heartbeat.instance for heartbeat in waits})


async def look_at(settings: Settings, dedup: RedisDedup, corrections: Sequence[Correction]) -> list[Standing]:
    """How the keys stand, once everybody has been `heard`; closes nothing. Raises `RedisUnavailable`.

    What is in flight is waited for a little: it may be the newer record.
    """
    items = [Item(one.key, partition=one.partition, offset=NO_PLACE) for one in corrections]
    control, until_s = await in_thread(read_control, settings), boot_s() + PATIENCE_S
    while True:
        dedup.under = partial(under, control)
        claims = await _superseded(dedup, items)
        stands = [_corrected(claim, one) for claim, one in zip(claims, corrections, strict=True)]
        before, control = control.newest, await in_thread(read_control, settings)
        over = boot_s() >= until_s or Standing.IN_FLIGHT not in stands
        if control.newest == before and over:
            return stands
        await asyncio.sleep(AGAIN_S)


def _corrected(claim: Claim | None, newer: Correction) -> Standing:
    if claim is None:
        return Standing.LATER
    return Standing.NEVER if claim.fingerprint == newer.fingerprint != "" else standing_of(claim)


async def _superseded(dedup: RedisDedup, items: Sequence[Item]) -> list[Claim | None]:
    """Each key's claim, closed up to its place; ``None`` where the set was not whole."""
    found: list[Claim | None] = []
    for first in range(0, len(items), CHUNK):
        chunk = items[first : first + CHUNK]
        try:
            found += await dedup.supersede(chunk)
        except NotWhole:
            found += [None] * len(chunk)
    return found
