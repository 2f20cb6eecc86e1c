"""The dedup set rebuilt or adopted on purpose, and held against the ledger, key by key."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from processor.adapters.clock import SystemClock
from processor.adapters.installation import places_now
from processor.adapters.redis import RedisDedup
from processor.adapters.write import TransactionalWriter
from processor.core.adoption import Found
from processor.core.states import Claim, State, parse_claim
from processor.recovery.adoption import Adopted, Adoption, World
from processor.recovery.part import Part
from processor.recovery.rebuild import Tell, claims_from_topics, take_chunk
from schemas.identity import Key
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import UsageError
from schemas.runtime.settings import Settings

__all__ = ["Finding", "Verification", "adopt", "adoption_of", "compare", "look", "rebuild", "verify"]

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
    another: str = ""
    """whose set it is, when it is not this installation's"""
    counts: Counter[Finding] = field(default_factory=Counter)
    named: dict[Finding, list[str]] = field(default_factory=dict)

    def note(self, key: Key, finding: Finding) -> None:
        self.counts[finding] += 1
        if finding is not Finding.EQUAL and len(names := self.named.setdefault(finding, [])) < NAMED_MAX:
            names.append(str(key))

    @property
    def safe(self) -> bool:
        return self.whole and not self.another and not any(self.counts[finding] for finding in DANGEROUS)

    def to_dict(self) -> dict[str, Any]:
        return {
            "whole": self.whole,
            "safe": self.safe,
            "another_installation": self.another or None,
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


async def look(part: Part, adoption: Adoption) -> Found:
    """What there is to adopt; changes nothing. Raises `UsageError` while processes run."""
    await part.join()
    try:
        return await adoption.look()
    finally:
        await part.stop()


async def adopt(part: Part, adoption: Adoption, who: str, tell: Tell) -> Adopted:
    """Takes over what `look` found. Raises as that does, and `BrokerUnavailable`: then adopt again."""
    await part.join()
    try:
        if not (await adoption.look()).why:
            raise UsageError("there is nothing to adopt any more")
        return await adoption.carry_out(who, tell)
    finally:
        await part.stop()


def adoption_of(settings: Settings, part: Part) -> Adoption:
    """The adoption by one of those that the others wait for."""
    instance = settings.instance_name()
    world = World(
        part.dedup,
        part.control_log,
        part.follower,
        part.lineages,
        SystemClock(),
        TransactionalWriter(settings, f"adopt-{instance}"),
        partial(places_now, settings),
    )
    return Adoption(settings, world, instance)


async def verify(settings: Settings, dedup: RedisDedup, tell: Tell) -> Verification:
    """Compares every key of ledger and intents with the set, and the set's entries with those keys.

    Months before the set's floor are left out: it grants nothing for them, and need not know them.
    """
    floor = await dedup.raise_floor()
    seen, ours = await dedup.server(), dedup.under().installation
    result = Verification(await dedup.is_whole(), seen.installation if seen.installation != ours else "")
    explained: set[int] = set()
    source = claims_from_topics(settings, tell)
    while chunk := await in_thread(take_chunk, source):
        known = [one for one in chunk if one.claim and one.key.month >= floor]
        actual = await dedup.peek_all([one.key for one in known])
        for one, found in zip(known, actual, strict=True):
            explained.add(hash(one.key))
            result.note(one.key, compare(parse_claim(one.claim), found))
    async for key, claim in dedup.entries():
        if hash(key) not in explained and key.month >= floor:
            result.note(key, Finding.AHEAD if claim.state in {State.SENDING, State.BARRED} else Finding.UNKNOWN)
    return result
