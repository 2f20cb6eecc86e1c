"""Rebuilding the dedup set on purpose, and holding it against the ledger, key by key."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from processor.adapters.redis import RedisDedup
from processor.core.states import Claim, State, parse_claim
from processor.recovery.part import Part
from processor.recovery.rebuild import Tell, claims_from_topics, take_chunk
from schemas.identity import Key
from schemas.runtime.ending import in_thread
from schemas.runtime.settings import Settings

__all__ = ["Finding", "Verification", "compare", "rebuild", "verify"]

NAMED_MAX = 20


class Finding(StrEnum):
    """What a comparison of one key found."""

    EQUAL = "equal"
    AHEAD = "ahead"
    """Redis knows more than the ledger yet: a call is running or its outcome is about to be committed."""
    MISSING = "missing"
    """The ledger has an outcome, Redis has nothing: a second mail would be possible."""
    LOWER = "lower"
    """Redis knows less than the ledger: likewise."""
    UNKNOWN = "unknown"
    """Redis has an entry that neither ledger nor intents explain."""


DANGEROUS = {Finding.MISSING, Finding.LOWER}
_RANK = {
    State.ABSENT: 0,
    State.BARRED: 0,
    State.CLOSED: 1,
    State.SENDING: 1,
    State.UNCERTAIN: 2,
    State.UNCERTAIN_RECORDED: 2,
    State.DROPPED: 3,
    State.SENT: 4,
    State.SENT_RECORDED: 4,
}


def compare(expected: Claim, actual: Claim) -> Finding:
    """What the set says of a key against what the topics make of it."""
    if actual.state in {State.ABSENT, State.BARRED}:
        # An intent that nobody claimed is no entry, and a record's closing is written after its commit.
        return Finding.AHEAD if expected.state is State.SENDING else Finding.MISSING
    if expected == actual:
        return Finding.EQUAL
    ahead, behind = _RANK[actual.state], _RANK[expected.state]
    if ahead == behind and expected.state is not State.CLOSED:
        return Finding.EQUAL
    return Finding.AHEAD if ahead >= behind else Finding.LOWER


@dataclass(slots=True)
class Verification:
    """Counts by finding, and the first keys of each that is not equal."""

    whole: bool
    counts: Counter[Finding] = field(default_factory=Counter)
    named: dict[Finding, list[str]] = field(default_factory=dict)

    def note(self, key: Key, finding: Finding) -> None:
        self.counts[finding] += 1
        if finding is not Finding.EQUAL and len(names := self.named.setdefault(finding, [])) < NAMED_MAX:
            names.append(str(key))

    @property
    def safe(self) -> bool:
        return self.whole and not any(self.counts[finding] for finding in DANGEROUS)

    def to_dict(self) -> dict[str, Any]:
        return {
            "whole": self.whole,
            "safe": self.safe,
            **{finding.value: self.counts[finding] for finding in Finding},
            "keys": {finding.value: names for finding, names in self.named.items()},
        }


async def rebuild(part: Part, tell: Tell) -> int:
    """Begins a new lineage; nobody sends until the set is whole under it. Returns the entries put back."""
    await part.start()
    try:
        return await part.lineages.begin_anew(tell)
    finally:
        await part.stop()


async def verify(settings: Settings, dedup: RedisDedup, tell: Tell) -> Verification:
    """Compares every key of ledger and intents with the set, and the set's entries with those keys."""
    result = Verification(await dedup.is_whole())
    explained: set[int] = set()
    source = claims_from_topics(settings, tell)
    while chunk := await in_thread(take_chunk, source):
        known = [one for one in chunk if one.claim]
        actual = await dedup.peek_all([one.key for one in known])
        for one, found in zip(known, actual, strict=True):
            explained.add(hash(one.key))
            result.note(one.key, compare(parse_claim(one.claim), found))
    async for key, claim in dedup.entries():
        if hash(key) not in explained:
            result.note(key, Finding.AHEAD if claim.state in {State.SENDING, State.BARRED} else Finding.UNKNOWN)
    return result
