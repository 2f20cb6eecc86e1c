"""Cancelling one mail that was not sent yet: a tombstone for its key, then the key closed at the tombstone's place."""

from __future__ import annotations

from processor.adapters.months import read_keys, read_months
from processor.adapters.redis import RedisDedup
from processor.adapters.write import write_placed
from processor.core.outcomes import has_job
from processor.ops.closing import Standing, close_at
from processor.ports import BY_KEY, Produced
from schemas.identity import Key
from schemas.runtime.errors import NoSuchJob, RedisUnavailable
from schemas.runtime.settings import Settings

__all__ = ["cancel"]


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
