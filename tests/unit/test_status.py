"""One mail's story, as `mailonce show` tells it."""

from __future__ import annotations

from processor.ops.status import Story
from schemas.identity import Key
from schemas.records import Delivery, Outcome, Source


def outcome(what: Outcome, **about: object) -> Delivery:
    return Delivery(outcome=what, at_ms=1, source=Source("jobs", 0, 1), instance="p", **about)  # type: ignore[arg-type]


def test_a_doubt_that_a_proof_overtook_changes_nothing() -> None:
    """The ledger keeps both; the mail is sent."""
    story = Story(Key("u1", "2026-11"))
    assert story.outcome == "unknown"
    story.add_outcome(outcome(Outcome.UNCERTAIN), 0)
    assert story.outcome == "uncertain"
    story.add_outcome(outcome(Outcome.SENT), 0)
    story.add_outcome(outcome(Outcome.UNCERTAIN), 0)
    story.add_outcome(outcome(Outcome.DEAD, held=True), 0)
    assert story.outcome == "sent"
    assert len(story.outcomes) == 4
