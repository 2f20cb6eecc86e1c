"""What becomes of a dedup set and of records that are taken over on purpose. Pure: whoever adopts brings what is there.

What was sent stays barred, and stands in the ledger from then on. Of what may have been sent nobody can tell here: it
is in doubt. Places in the jobs topic (`closed at 3:17`) are worth something only in the topic that they speak of.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec

from processor.core.standing import attempts_in, nobodys
from processor.core.states import ABSENT, Claim, State
from schemas.control import Installation, new_control_id
from schemas.records import Delivery, Outcome, Source

__all__ = [
    "ADOPTED",
    "NOWHERE",
    "Found",
    "Places",
    "Taken",
    "adopt",
    "is_nowhere",
    "jobs_are_new",
    "nowhere",
    "take_over",
]

ADOPTED = "adopted"
"""The reason of outcomes that an adoption writes."""
NOWHERE = 2**31 - 1
"""The partition of a place in another jobs topic: no record stands there, so none is barred by it."""
_UNCERTAIN = {State.SENDING, State.UNCERTAIN, State.UNCERTAIN_RECORDED}
_SENT = {State.SENT, State.SENT_RECORDED}


class Places(NamedTuple):
    """Where an installation's records stand, by ids that no other cluster or topic has."""

    cluster: str
    topics: dict[str, str]
    """name: id; without those of which a broker tells no id"""


class Taken(NamedTuple):
    """What follows for a key of the set."""

    claim: Claim
    """what the set must hold from now on; a rebuild raises it to what the ledger knows better"""
    outcome: Outcome | None = None
    """what the ledger must be told"""
    attempt: str = ""
    """of whom it is told"""
    unused: tuple[str, ...] = ()
    """intents that certainly nobody called for"""


class Found(msgspec.Struct):
    """What there is to adopt, before anything is done."""

    why: list[str]
    """what is another installation's, in words; empty: nothing is"""
    former: str = ""
    """whose set Redis holds; empty: nobody's, or ours"""
    claims: Counter[str] = msgspec.field(default_factory=Counter)
    """entries of the set, by the state's name"""

    @property
    def sent(self) -> int:
        return self._count(_SENT)

    @property
    def uncertain(self) -> int:
        """Entries that are uncertain afterwards."""
        return self._count(_UNCERTAIN)

    @property
    def dropped(self) -> int:
        """Entries of mails that SES accepted and dropped."""
        return self._count({State.DROPPED})

    @property
    def closed(self) -> int:
        """Entries that go."""
        return self._count({State.CLOSED})

    def _count(self, states: set[State]) -> int:
        return sum(self.claims[state.name] for state in states)


def take_over(claim: Claim, known: Claim, *, whole: bool = False) -> Taken:
    """What follows for a key.

    Args:
        claim: its entry in the set.
        known: its claim by ledger and intents; sending: intents that nothing has closed.
        whole: whether the set lacks no claim that these intents may have made: then one without a claim was not called
            for.
    """
    if whole and known.state is State.SENDING:
        claimed = attempts_in(claim.attempt) if claim.state in _UNCERTAIN else []
        unused = tuple(name for name in attempts_in(known.attempt) if name not in claimed)
        return take_over(claim, ABSENT)._replace(unused=unused)
    if claim.state in _SENT:
        told = known.state in {State.SENT_RECORDED, State.DROPPED}
        recorded = Claim(State.SENT_RECORDED, fingerprint=claim.fingerprint, attempt=claim.attempt)
        return Taken(recorded, None if told else Outcome.SENT, claim.attempt)
    held = claim.attempt if claim.state in _UNCERTAIN | {State.DROPPED} else ""
    opened = known.attempt if known.state is State.SENDING else ""
    if not held and not opened:
        return Taken(ABSENT)
    told = known.state in {State.DROPPED, State.UNCERTAIN_RECORDED} and known.attempt == held
    if known.state is State.SENT_RECORDED or told:
        return Taken(claim if claim.state is State.DROPPED else Claim(State.UNCERTAIN_RECORDED, attempt=held))
    names = list(dict.fromkeys([*attempts_in(opened), *attempts_in(held)]))
    attempt = names[0] if len(names) == 1 else nobodys(names)
    return Taken(Claim(State.UNCERTAIN_RECORDED, attempt=attempt), Outcome.UNCERTAIN, attempt)


def jobs_are_new(before: Installation, now: Places, jobs: str) -> bool:
    """Whether the jobs topic (by its name) is another one than the installation's, as far as brokers tell."""
    if jobs in before.topics and jobs in now.topics:
        return before.topics[jobs] != now.topics[jobs]
    return _moved(before, now)


def _moved(before: Installation, now: Places) -> bool:
    return bool(before.cluster and now.cluster) and before.cluster != now.cluster


def adopt(before: Installation, now: Places, former: str, at_ms: int, who: str) -> Installation:
    """The installation as it goes on with the set, the cluster and the topics that are there now.

    Its id stays where cluster and topics are its own: what it has sent carries that id.

    Args:
        before: as the control topic has it.
        now: cluster and topics.
        former: whose set is taken over; empty: its own, or nobody's.
        at_ms: now.
        who: adopts.
    """
    own = not _moved(before, now) and all(now.topics.get(name, known) == known for name, known in before.topics.items())
    made = before.id if own else new_control_id()
    former_ones = [*before.adopted, former, before.id]
    return Installation(
        id=made,
        cluster=now.cluster,
        topics=now.topics,
        adopted=[one for one in dict.fromkeys(former_ones) if one not in {"", made}],
        at_ms=at_ms,
        who=who,
    )


def nowhere(delivery: Delivery) -> Delivery:
    """The same outcome, of a record of another jobs topic."""
    source = Source(delivery.source.topic, NOWHERE, 0, delivery.source.timestamp_ms)
    return msgspec.structs.replace(delivery, source=source)


def is_nowhere(claim: str) -> bool:
    """Whether an entry says no more than that a record of another jobs topic has ended."""
    return claim.startswith(f"{State.CLOSED.value}{NOWHERE}:")
