"""What becomes of intents whose process calls under them no more. Pure.

The order is the law: first the process is seen to have lapsed or ended, then the whole set of the newest lineage is
asked, then follows what it said. A set that was asked before may have been claimed in, and called for, since; a process
that was not seen to lapse may claim yet; and what the set knows of may have been called for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from processor.core.claims import Intent
from processor.core.standing import NOBODYS
from processor.core.states import Claim, State
from schemas.records import Attempt, Delivery, Outcome, Source

__all__ = ["Follows", "SentTold", "UncertainTold", "Withdrawn", "after_silence", "sent", "uncertain"]


class Withdrawn(NamedTuple):
    """Nobody called under these: they are withdrawn."""

    intents: Sequence[Intent]


class SentTold(NamedTuple):
    """SES accepted it and the ledger does not say so."""

    claim: Claim


class UncertainTold(NamedTuple):
    """A claim ended without an answer, and the ledger does not say so."""

    claim: Claim


Follows = Withdrawn | SentTold | UncertainTold


def after_silence(claim: Claim, intents: Sequence[Intent]) -> Follows | None:
    """What follows for a key's open intents under which nobody calls any more; ``None``: nothing yet.

    Args:
        claim: the key's, in the whole set of the newest lineage, as it was asked for once nobody called any more.
        intents: those.
    """
    match claim.state:
        case State.SENT:
            return SentTold(claim)
        case State.UNCERTAIN:
            return UncertainTold(claim)
        case State.SENDING | State.BARRED:
            # A claim of nobody hides who was called for.
            others = [] if NOBODYS in claim.attempt else [one for one in intents if one.attempt != claim.attempt]
            return Withdrawn(others) if others else None
        case _:
            return Withdrawn(intents)


def sent(claim: Claim, source: Source, instance: str, at_ms: int) -> Delivery:
    """The ledger's entry of what the set alone knew as sent."""
    return Delivery(
        outcome=Outcome.SENT,
        at_ms=at_ms,
        source=source,
        instance=instance,
        fingerprint=claim.fingerprint,
        message_id=claim.message_id,
        tries=1,
    )


def uncertain(claim: Claim, known: Attempt, instance: str, at_ms: int) -> Delivery:
    """The ledger's entry of what the set alone knew as in doubt.

    Args:
        claim: names the attempt.
        known: an attempt of the key: that one, where it is among those that are open.
        instance: who says so.
        at_ms: when.
    """
    own = known.attempt == claim.attempt
    return Delivery(
        outcome=Outcome.UNCERTAIN,
        at_ms=at_ms,
        source=known.source,
        instance=instance,
        fingerprint=known.fingerprint if own else "",
        attempt=claim.attempt,
        reason="answer-lost",
        detail="the attempt's lifetime passed, its process has ended, and nobody knows SES's answer",
        overrides=known.resend.overrides if own and known.resend else "",
    )
