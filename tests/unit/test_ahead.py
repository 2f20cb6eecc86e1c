"""What a look ahead of the intents passes over: only what a claim would skip without a word."""

from __future__ import annotations

import pytest

from processor.core.decide import Skip
from processor.core.states import Claim, State
from processor.shell.ahead import LookAhead
from schemas.codec import encode, fingerprint, fingerprint_of
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.runtime.errors import RedisUnavailable
from tests.simulation.dedup import MemoryDedup
from tests.support.world import job

KEY = Key("u1", "2026-11")
GOOD = encode(job("u1"))
PRINT = fingerprint(job("u1"))


def record(value: bytes | None, key: bytes | None = b"u1:2026-11") -> Record:
    return Record(0, 5, key, value, [], 0)


def with_claim(claim: Claim) -> MemoryDedup:
    dedup = MemoryDedup(10, lambda: 0)
    dedup.claims[KEY] = claim
    return dedup


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (GOOD, True),
        (encode(job("u1", usage="43")), False),
        (encode(job("u2")), False),
        (None, False),
        (b"{", False),
        (GOOD.replace(b'"v":1', b'"v":2'), False),
    ],
)
async def test_only_the_very_mail_is_passed_over(value: bytes | None, found: bool) -> None:
    """A tombstone, another content, another user's job, another version and no job at all go the whole way."""
    ahead = LookAhead(with_claim(Claim(State.SENT_RECORDED, fingerprint=PRINT)))
    ahead.wake()
    assert await ahead.sent([record(value), record(GOOD, b"nonsense")]) == [found, False]
    assert ahead.active


@pytest.mark.parametrize("state", [state for state in State if state is not State.SENT_RECORDED])
async def test_nothing_less_than_the_ledgers_word_counts(state: State) -> None:
    """And after a look in vain it rests, until a claim finds what it would have found."""
    ahead = LookAhead(with_claim(Claim(state, fingerprint=PRINT)))
    ahead.wake()
    assert await ahead.sent([record(GOOD)]) == [False]
    assert not ahead.active
    ahead.note([Skip("already sent", report=True)])
    assert not ahead.active
    ahead.note([Skip("already sent")])
    assert ahead.active


async def test_an_outcome_by_evidence_has_no_fingerprint() -> None:
    """Nobody can tell whether the content changed: passed over, as a claim would."""
    ahead = LookAhead(with_claim(Claim(State.SENT_RECORDED)))
    assert await ahead.sent([record(GOOD)]) == [False], "it rests until partitions come"
    ahead.wake()
    assert await ahead.sent([record(GOOD)]) == [True]


async def test_without_redis_nothing_is_known() -> None:
    """The claims wait for it; a look does not."""

    class Away(MemoryDedup):
        async def recorded(self, keys: object) -> list[Claim | None]:
            raise RedisUnavailable("away")

    ahead = LookAhead(Away(10, lambda: 0))
    ahead.wake()
    assert await ahead.sent([record(GOOD)]) == [False]
    assert ahead.active


def test_the_fingerprint_of_a_record() -> None:
    """As the job's own, and none where the record is no job of the key's."""
    assert fingerprint_of(GOOD, KEY) == PRINT
    assert fingerprint_of(GOOD, Key("u1", "2026-12")) is None
    assert fingerprint_of(b"\xff", KEY) is None
