"""Since when a mail is in doubt, and from when on a person may have it sent again."""

from __future__ import annotations

from typing import Any

import pytest

from processor.core.states import Claim, State
from processor.core.uncertain import UncertainFold, UncertainMail
from processor.ops import uncertain
from processor.ops.uncertain import Decision, Resolution, resolve
from schemas.codec import encode
from schemas.identity import Key
from schemas.records import EVIDENCE, Delivery, Outcome, Source
from schemas.runtime.errors import UsageError
from schemas.runtime.settings import load_settings

KEY = Key("u1", "2026-11")


def entry(at_ms: int, outcome: Outcome = Outcome.UNCERTAIN, attempt: str = "a1", **more: Any) -> Delivery:
    return Delivery(
        outcome=outcome, at_ms=at_ms, attempt=attempt, source=Source("email-jobs", 0, 1), instance="p", **more
    )


def dead(at_ms: int, attempt: str = "a1") -> Delivery:
    """As a person's decision writes it."""
    return entry(at_ms, Outcome.DEAD, attempt, held=True, by="ops")


def doubt_of(*entries: Delivery | None) -> UncertainMail | None:
    fold = UncertainFold()
    for one in entries:
        fold.add(KEY.to_bytes(), None if one is None else encode(one), 0)
    return next(iter(fold.mails()), None)


@pytest.mark.parametrize(
    ("entries", "since_ms"),
    [
        ([entry(100)], 100),
        ([entry(100), dead(900)], 100),
        ([entry(100), dead(900), dead(950)], 100),
        ([dead(900)], 900),
        ([entry(100), dead(900, "a2")], 900),
        ([entry(100), entry(500), dead(900)], 500),
        ([entry(100), dead(900), entry(950)], 950),
        ([entry(100), entry(500, Outcome.SENT), dead(900)], 900),
        ([entry(100), None, dead(900)], 900),
    ],
    ids=[
        "in doubt",
        "declared dead",
        "declared dead twice",
        "what came before is compacted away",
        "another attempt",
        "in doubt twice: the later",
        "in doubt again",
        "settled between",
        "forgotten between",
    ],
)
def test_a_decision_begins_no_doubt(entries: list[Delivery | None], since_ms: int) -> None:
    """G1: the ledger's last word of the attempt itself counts; where it is not known, a later moment does."""
    doubt = doubt_of(*entries)
    assert doubt is not None
    assert doubt.since_ms == since_ms


def test_a_doubt_about_what_ses_dropped_is_overtaken() -> None:
    """G4: SES's word stands, and is written once more, for compaction would keep the doubt; a resend's doubt is another's."""
    dropped = entry(100, Outcome.DEAD, message_id="m", reason="rendering-failure")
    fold = UncertainFold()
    for one in (dropped, entry(200)):
        fold.add(KEY.to_bytes(), encode(one), 0)
    assert (fold.mails(), fold.overtaken) == ([], {KEY.to_bytes(): dropped})
    fold.add(KEY.to_bytes(), encode(dropped), 0)
    assert fold.overtaken == {}
    assert doubt_of(dropped, entry(200, attempt="a2")) is not None


def test_a_proof_that_was_lowered_is_overtaken() -> None:
    """G6: evidence writes it once more; a proof by SES's event is all that it keeps of what was sent."""
    proof = entry(100, Outcome.SENT, message_id="m", reason=EVIDENCE)
    fold = UncertainFold()
    for one in (proof, entry(200, Outcome.CANCELLED)):
        fold.add(KEY.to_bytes(), encode(one), 0)
    assert (fold.mails(), fold.overtaken) == ([], {KEY.to_bytes(): proof})


@pytest.mark.parametrize("content", ["f1", ""])
def test_what_the_dedup_set_knows_ends_a_doubt(content: str) -> None:
    """G4: with the message and, where the claim names it, the content that SES took."""
    doubt = doubt_of(entry(100, fingerprint="f2"))
    assert doubt is not None
    sent = doubt.as_sent(Claim(State.SENT, message_id="m", fingerprint=content), 200)
    assert (sent.outcome, sent.message_id, sent.at_ms, sent.fingerprint) == (Outcome.SENT, "m", 200, content or "f2")


def test_what_cannot_be_read_of_the_ledger_changes_no_doubt() -> None:
    """It is no word of SES's, and nobody's decision."""
    fold = UncertainFold()
    fold.add(KEY.to_bytes(), encode(entry(100)), 0)
    fold.add(KEY.to_bytes(), b"junk", 0)
    assert [(doubt.attempt, doubt.since_ms) for doubt in fold.mails()] == [("a1", 100)]


async def test_dead_and_then_resend_waits_for_the_attempt_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a lifetime more, from the decision on, in which SES can accept nothing."""
    published: list[UncertainMail] = []
    monkeypatch.setattr(uncertain, "publish_resends", lambda _, leaves: published.extend(d for d, _ in leaves) or [])
    settings = load_settings(attempt_lifetime_s=330)
    doubt = doubt_of(entry(1_000_000), dead(1_329_000))
    assert doubt is not None
    for at_ms, may in ((1_329_999, False), (1_330_000, True)):
        decision = Decision(Resolution.RESEND, "ops", "x", at_ms)
        if may:
            await resolve(settings, None, [doubt], decision, "1")  # type: ignore[arg-type]
        else:
            with pytest.raises(UsageError, match="may still accept the first call; try again in 0 s"):
                await resolve(settings, None, [doubt], decision, "1")  # type: ignore[arg-type]
    assert published == [doubt]
