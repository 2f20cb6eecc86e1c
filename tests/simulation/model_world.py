"""A small world as one immutable value: processors, jobs, Redis, SES, the event feed; and the protocol's rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from processor.core import decide
from processor.core.answers import Answer, NotWritten, RetryClass, ServiceError, Unanswered, Verdict, classify
from processor.core.claims import Folded, folded
from processor.core.evidence import SesEvent, proof_is_news
from processor.core.states import ABSENT, Claim
from processor.ports import Item
from tests.simulation.dedup import Scripts
from tests.simulation.log import Partition
from tests.simulation.machine import KEYS, NOTHING, Held, Jobs, Known

__all__ = [
    "ANSWERS",
    "TRIES_MAX",
    "Call",
    "Note",
    "Processor",
    "Rules",
    "Steps",
    "World",
    "claimed",
    "first_world",
    "item",
    "replaced",
    "with_processor",
    "without",
]

ANSWERS: dict[str, Answer] = {
    "refused": ServiceError(400, "MessageRejected", "content"),
    "throttled": ServiceError(429, "TooManyRequestsException", "Maximum sending rate exceeded."),
    "lost": Unanswered("ReadTimeoutError", "no answer"),
    "late": NotWritten("forbidden", "the claim grew too old"),
}
TRIES_MAX = dict.fromkeys(RetryClass, 99)


class Rules:
    """The protocol as it is. A mutation overrides a rule; the exploration must then find what it breaks."""

    scripts = Scripts()
    intent_first = True
    claim_first = True
    needs_marker = True
    release_needs_whole = True
    note_at_once = True
    outcomes_with_offsets = True
    owner_checked = True
    deadline_checked = True
    delete_after_commit = True
    lifetime_waited = True
    intents_rebuilt = True
    fold = staticmethod(folded)

    def verdict(self, answer: Answer) -> Verdict:
        return classify(answer)

    def after_claim(self, claim: Claim, call: Call) -> decide.AfterClaim:
        return decide.after_claim(claim, mine=call.attempt, fingerprint="", partition=0, offset=call.offset)

    def is_news(self, event: SesEvent, before: Claim) -> bool:
        return proof_is_news(event, before)


class Call(NamedTuple):
    """An attempt from its claim on: ``claimed``, then ``air`` (SES has it, or had it)."""

    offset: int
    key: int
    overrides: str
    attempt: str
    phase: str = "claimed"
    answer: str = ""

    @property
    def held(self) -> Held:
        return self.offset, self.attempt


class Note(NamedTuple):
    """An outcome that the ledger holds and Redis has not been told of."""

    held: Held
    result: decide.Settle
    ours: bool = True
    """Whether the partition is still in the life in which it was recorded."""


class Processor(NamedTuple):
    """A crash and the start after it are one step: a processor that is away does no more than one that waits."""

    stalled: bool = False
    generation: int = 0
    """0: it holds no partition, as far as it knows."""
    known: Known = NOTHING
    """its engine"""
    calls: tuple[Call, ...] = ()
    orphans: tuple[Call, ...] = ()
    """Calls of a partition that was lost: they go on, their notes are facts, their outcomes are another's."""
    notes: tuple[Note, ...] = ()
    freeing: tuple[Held, ...] = ()
    """What is given back once the set is whole: only then does it take a release."""


class World(NamedTuple):
    jobs: Jobs
    claims: tuple[Claim, ...]
    whole: bool
    snapshot: tuple[Folded, ...] | None
    """What a rebuild has read and not put back yet."""
    intents: tuple[tuple[tuple[str, int, str, bool], ...], ...]
    """per key: (attempt, offset, overrides, withdrawn)"""
    ledger: tuple[tuple[tuple[str, str, str, int], ...], ...]
    """per key: (outcome, attempt, message id, offset)"""
    log: Partition
    processors: tuple[Processor, ...]
    accepted: tuple[tuple[str, ...], ...]
    late: frozenset[str]
    """Attempts whose lifetime has passed: SES takes no request of theirs any more."""
    events: tuple[tuple[int, str], ...]
    evidence: tuple[int, str, bool] | None
    """Evidence at work: (key, attempt, whether the ledger holds it already)."""
    faults: int
    excused: frozenset[int]
    """Keys with a call in flight at a fault: these may be in doubt."""
    wiped: bool
    missed: frozenset[int]
    """Keys whose event was lost, or never comes: where nobody else knows, they stay uncertain."""
    untold: frozenset[int]
    """Keys whose answer was lost, or died with a processor before the ledger was told."""
    rejects: int
    """The key that SES refuses for its content; -1 for none."""
    resends: bool
    """Whether the policy sends again what no event proved."""
    again: bool
    """Whether the first key's second record is still to come."""


Steps = Iterator[tuple[str, World]]


def first_world(
    faults: int, *, jobs: int = 2, rejects: int = -1, resends: bool = False, again: bool = False, feed: bool = True
) -> World:
    """`again`: the first key has a second record, at any moment. Without a `feed` no event of SES's ever comes."""
    return World(
        jobs=tuple((key, "") for key in range(jobs)),
        claims=(ABSENT, ABSENT),
        whole=True,
        snapshot=None,
        intents=((), ()),
        ledger=((), ()),
        log=Partition(),
        processors=(Processor(), Processor()),
        accepted=((), ()),
        late=frozenset(),
        events=(),
        evidence=None,
        faults=faults,
        excused=frozenset(),
        wiped=False,
        missed=frozenset() if feed else frozenset(range(len(KEYS))),
        untold=frozenset(),
        rejects=rejects,
        resends=resends,
        again=again,
    )


def item(jobs: Jobs, held: Held, attempt: str = "") -> Item:
    """As the scripts take it; a message's id is its attempt's."""
    offset, own = held
    key, overrides = jobs[offset]
    attempt = attempt or own
    return Item(KEYS[key], attempt, 0, offset, attempt, "", overrides)


def with_processor(world: World, number: int, processor: Processor) -> World:
    return world._replace(processors=replaced(world.processors, number, processor))


def claimed(world: World, key: int, claim: Claim) -> World:
    return world if world.claims[key] == claim else world._replace(claims=replaced(world.claims, key, claim))


def replaced(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])


def without(values: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    index = values.index(value) if value in values else len(values)
    return (*values[:index], *values[index + 1 :])
