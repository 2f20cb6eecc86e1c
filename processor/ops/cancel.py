"""Cancelling one mail that was not sent yet: a tombstone for its key, then the key closed at the tombstone's place."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from processor.adapters.months import read_keys, read_month, read_months
from processor.adapters.redis import RedisDedup
from processor.adapters.write import write_placed
from processor.core.outcomes import Mail, has_job, with_delivery
from processor.ops.closing import CHUNK, Standing, close_at
from processor.ports import BY_KEY, Produced
from schemas.codec import decode_delivery
from schemas.identity import Key
from schemas.records import Outcome
from schemas.runtime.errors import NoSuchJob, RedisUnavailable
from schemas.runtime.settings import Settings

__all__ = ["cancel", "cancel_all", "unsent"]


async def cancel(settings: Settings, key: Key, dedup: RedisDedup) -> Standing:
    """Publishes the tombstone, closes the key and says what was found; no outcome is written here.

    Raises `NoSuchJob`, having written nothing, for a key that nobody published, `BrokerUnavailable`, and
    `RedisUnavailable` once the tombstone stands.
    """
    partition, offset = publish_tombstone(settings, key)
    try:
        (found,) = await close_at(settings, dedup, [(key, partition, offset)])
    except RedisUnavailable as error:
        raise RedisUnavailable(
            f"the tombstone of {key} stands in Kafka, but whether a call was in flight is not known: {error}; "
            f"the same command may be repeated"
        ) from error
    return found


def publish_tombstone(settings: Settings, key: Key) -> tuple[int, int]:
    """Returns its place. Raises `NoSuchJob`, having written nothing, and `BrokerUnavailable`."""
    raw = key.to_bytes()
    if not has_job(raw, read_keys(settings, read_months(settings), settings.topics.jobs, {raw})):
        raise NoSuchJob(f"nobody published a mail for {key}: there is nothing to cancel")
    (place,) = write_placed(settings, [Produced(settings.topics.jobs, BY_KEY, raw, None)])
    return place


async def cancel_all(settings: Settings, keys: Sequence[Key], dedup: RedisDedup) -> list[Standing]:
    """As `cancel`, of keys whose jobs the caller has read: the tombstones in portions, each closed at its place.

    Raises `BrokerUnavailable`, and `RedisUnavailable` once the tombstones of a portion stand; the same again goes on.
    """
    found: list[Standing] = []
    for start in range(0, len(keys), CHUNK):
        some = keys[start : start + CHUNK]
        records = [Produced(settings.topics.jobs, BY_KEY, key.to_bytes(), None) for key in some]
        places = write_placed(settings, records)
        found += await close_at(settings, dedup, [(key, *place) for key, place in zip(some, places, strict=True)])
    return found


def unsent(settings: Settings, month: str, users: Collection[str]) -> list[Key]:
    """Those of a month's published users of whom the ledger says neither that they were sent a mail nor that it is in
    doubt. Raises `BrokerUnavailable`."""
    waiting: dict[bytes, Mail | None] = {Key(user, month).to_bytes(): None for user in users}
    for record in read_month(settings, read_months(settings), settings.topics.deliveries, month):
        if record.key in waiting and record.value is not None:
            delivery = decode_delivery(record.value)
            waiting[record.key] = with_delivery(waiting[record.key], delivery, record.partition)
    gone = {Outcome.SENT, Outcome.UNCERTAIN}
    return [Key.from_bytes(key) for key, mail in waiting.items() if mail is None or mail.outcome not in gone]
