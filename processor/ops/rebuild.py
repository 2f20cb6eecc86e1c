"""Makes the dedup set whole again from the ledger and the intents, under a lock, before anybody may send."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from typing import TypeVar

from processor.adapters.redis import RedisDedup
from processor.core.states import Claim, State
from schemas.codec import decode_attempt, decode_delivery
from schemas.errors import BadRecord
from schemas.identity import Key
from schemas.logs import Event, get_log
from schemas.reading import Record, partition_numbers, read_topic
from schemas.records import Attempt, Delivery, Outcome
from schemas.settings import Settings

__all__ = ["claims_from_topics", "ensure_whole"]

log = get_log()
T = TypeVar("T")

LOCK_TTL_S = 30.0
LOOK_EVERY_S = 0.5
CHUNK = 1000


async def ensure_whole(settings: Settings, dedup: RedisDedup) -> None:
    """Returns when the marker stands: rebuilds the set, or waits for whoever is rebuilding it."""
    token = secrets.token_hex(8)
    said = False
    while not await dedup.is_whole():
        if await dedup.lock_rebuild(token, LOCK_TTL_S):
            try:
                await _rebuild(settings, dedup, token)
            finally:
                await dedup.unlock_rebuild(token)
        else:
            if not said:
                log.warning(Event.DEDUP_NOT_WHOLE, follows="waiting for another process that rebuilds it")
                said = True
            await asyncio.sleep(LOOK_EVERY_S)


async def _rebuild(settings: Settings, dedup: RedisDedup, token: str) -> None:
    count = 0
    source = claims_from_topics(settings)
    while chunk := await asyncio.to_thread(_take, source):
        await dedup.restore(chunk)
        count += len(chunk)
        if not await dedup.extend_lock(token, LOCK_TTL_S):
            log.warning(Event.DEDUP_NOT_WHOLE, follows="the rebuild lost its lock and starts again")
            return
    await dedup.set_whole(token)
    log.info(Event.DEDUP_REBUILT, entries=count)


def _take(source: Iterator[tuple[Key, Claim]]) -> list[tuple[Key, Claim]]:
    return [claim for _, claim in zip(range(CHUNK), source, strict=False)]


def claims_from_topics(settings: Settings) -> Iterator[tuple[Key, Claim]]:
    """What each key's claim must be, by the ledger and the intents. Partition by partition, so memory stays flat."""
    topics = settings.topics
    for partition in partition_numbers(settings, topics.deliveries):
        deliveries = _by_key(settings, topics.deliveries, partition, decode_delivery)
        attempts = _by_key(settings, topics.attempts, partition, decode_attempt)
        for raw, delivery in deliveries.items():
            if (key := _key(raw)) and (claim := _claim(delivery, attempts.pop(raw, None))):
                yield key, claim
        for raw, attempt in attempts.items():
            if (key := _key(raw)) and not attempt.withdrawn:
                yield key, _sending(attempt)


def _claim(delivery: Delivery, attempt: Attempt | None) -> Claim | None:
    match delivery.outcome:
        case Outcome.SENT:
            return Claim(State.SENT_RECORDED, fingerprint=delivery.fingerprint)
        case Outcome.UNCERTAIN:
            return Claim(State.UNCERTAIN_RECORDED, attempt=delivery.attempt or "unknown")
        case _:
            place = delivery.source
            if attempt is not None and not attempt.withdrawn and _is_newer(attempt, delivery):
                return _sending(attempt)
            return Claim(State.CLOSED, partition=place.partition, offset=place.offset)


def _is_newer(attempt: Attempt, delivery: Delivery) -> bool:
    """Whether the intent belongs to a record that came after the one with the outcome."""
    if attempt.source.partition != delivery.source.partition:
        return attempt.intended_at_ms > delivery.at_ms
    return attempt.source.offset > delivery.source.offset


def _sending(attempt: Attempt) -> Claim:
    return Claim(State.SENDING, attempt=attempt.attempt, since_ms=attempt.intended_at_ms)


def _by_key(settings: Settings, topic: str, partition: int, decode: Callable[[bytes], T]) -> dict[bytes, T]:
    latest: dict[bytes, T] = {}
    for record in read_topic(settings, topic, [partition]):
        _fold(latest, record, decode)
    return latest


def _fold(latest: dict[bytes, T], record: Record, decode: Callable[[bytes], T]) -> None:
    if record.key is None or record.value is None:
        return
    try:
        latest[record.key] = decode(record.value)
    except BadRecord as bad:
        log.warning(Event.DEDUP_NOT_WHOLE, error=bad.detail, place=f"{record.partition}:{record.offset}")


def _key(raw: bytes) -> Key | None:
    try:
        return Key.from_bytes(raw)
    except BadRecord:
        return None
