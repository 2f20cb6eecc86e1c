"""What Redis is told once the ledger holds an outcome, and what it knows better."""

from __future__ import annotations

import pytest

from processor.core.decide import Settle, Skip
from processor.core.states import Claim, State
from processor.core.ticket import Attempt, Finished
from processor.shell.after_commit import AfterCommit
from schemas.identity import Key
from schemas.records import Outcome
from tests.simulation.dedup import MemoryDedup
from tests.support.parts import FakeClock, attempt, ticket, until, whole
from tests.support.world import MONTH

KEY = Key("u1", MONTH)


async def told(dedup: MemoryDedup, *finished: Finished) -> list[Finished]:
    """What comes back when the ledger holds these."""
    after = AfterCommit(dedup, FakeClock())
    after.recorded(finished)
    assert after.busy
    await until(lambda: not after._tasks)
    better = after.take()
    assert not after.busy
    return better


async def test_a_mail_that_was_sent_needs_its_message_id_no_more() -> None:
    """The ledger holds it; the fingerprint tells a changed record later."""
    dedup, one = whole(), attempt()
    dedup.claims[KEY] = Claim(State.SENT, message_id="m1")
    assert await told(dedup, Finished(one, Settle(Outcome.SENT, message_id="m1", attempt=one.id))) == []
    assert dedup.claims[KEY] == Claim(State.SENT_RECORDED, fingerprint=one.ticket.fingerprint)


async def test_a_mail_of_another_content_is_remembered_as_that() -> None:
    """G6: what the ledger was told, a corrected record that comes later is held against."""
    dedup, one = whole(), attempt()
    await told(dedup, Finished(one, Settle(Outcome.SENT, message_id="m1", fingerprint="another")))
    assert dedup.claims[KEY] == Claim(State.SENT_RECORDED, fingerprint="another")


async def test_what_evidence_knows_better_waits_to_be_recorded() -> None:
    """G6: until it is taken, a drain is not over."""
    dedup, one = whole(), attempt()
    dedup.claims[KEY] = Claim(State.SENT, message_id="m1")
    (better,) = await told(dedup, Finished(one, Settle(Outcome.UNCERTAIN, attempt=one.id)))
    assert better.attempt is one
    assert isinstance(better.result, Settle)
    assert (better.result.outcome, better.result.message_id) == (Outcome.SENT, "m1")
    dedup.claims[KEY] = Claim(State.DROPPED, attempt=one.id)
    (better,) = await told(dedup, Finished(one, Settle(Outcome.SENT, message_id="m1", attempt=one.id)))
    assert isinstance(better.result, Settle)
    assert better.result.outcome is Outcome.DEAD


async def test_what_the_ledger_holds_of_a_record_that_ended() -> None:
    """G6: its key is closed for it; one whose message SES dropped is barred to all but a resend."""
    dedup, one = whole(), attempt()
    dedup.claims[KEY] = Claim(State.BARRED, attempt=one.id, since_ms=1)
    await told(dedup, Finished(one, Settle(Outcome.DEAD, attempt=one.id)))
    assert dedup.claims[KEY] == Claim(State.CLOSED, partition=0, offset=0)
    dedup.claims[KEY] = Claim(State.DROPPED, attempt=one.id, message_id="m1")
    await told(dedup, Finished(one, Settle(Outcome.DEAD, attempt=one.id, message_id="m1")))
    assert dedup.claims[KEY] == Claim(State.DROPPED, attempt=one.id)


async def test_another_attempts_outcome_is_recorded_as_its_own() -> None:
    """A doubt that was found keeps the attempt that it is about."""
    dedup, one = whole(), attempt()
    dedup.claims[KEY] = Claim(State.UNCERTAIN, attempt="another")
    await told(dedup, Finished(one, Settle(Outcome.UNCERTAIN, attempt="another")))
    assert dedup.claims[KEY] == Claim(State.UNCERTAIN_RECORDED, attempt="another")


async def test_a_proof_without_a_message_id_betters_nothing() -> None:
    """SES's own word says which message it dropped."""
    dedup, one = whole(), attempt()
    dedup.claims[KEY] = Claim(State.DROPPED, attempt=one.id)
    assert await told(dedup, Finished(one, Settle(Outcome.SENT, attempt=one.id))) == []


async def test_an_end_without_a_mail_closes_the_key() -> None:
    """What was passed over, or has no key, changes nothing."""
    dedup, one = whole(), attempt()
    nameless = Attempt(ticket(key=b"nonsense"))
    await told(dedup, Finished(nameless, Settle(Outcome.DEAD)), Finished(one, Skip("already sent")))
    assert dedup.claims == {}
    await told(dedup, Finished(one, Settle(Outcome.DEAD)))
    assert dedup.claims[KEY].state is State.CLOSED


async def test_what_was_never_called_for_is_free_again() -> None:
    """A rebuild may have put its claim back; what had no attempt has no claim."""
    dedup, one = whole(), attempt()
    dedup.claims[KEY] = Claim(State.SENDING, attempt=one.id)
    after = AfterCommit(dedup, FakeClock())
    after.give_back([Attempt(one.ticket)])
    assert not after.busy
    after.give_back([one])
    await after.end(timeout_s=60)
    assert dedup.claims[KEY].state is State.ABSENT
    await after.end(timeout_s=60)


async def test_what_is_freed_waits_for_a_set_that_is_whole() -> None:
    """G4: a rebuild may put the claim back; a drain does not wait for that, nor does an end wait long."""
    dedup, one = whole(), attempt()
    dedup.claims[KEY] = Claim(State.SENDING, attempt=one.id)
    await dedup.unset_whole()
    clock = FakeClock()
    after = AfterCommit(dedup, clock)
    after.give_back([one])
    await until(lambda: clock.s > 1000.0)
    assert (after.busy, dedup.claims[KEY].state) == (False, State.SENDING)
    dedup.mark()
    await after.end(timeout_s=60)
    assert dedup.claims[KEY].state is State.ABSENT


@pytest.mark.parametrize(
    ("outcome", "after"),
    [
        (Outcome.UNCERTAIN, Claim(State.UNCERTAIN_RECORDED, attempt=attempt().id)),
        (Outcome.DEAD, Claim(State.CLOSED, partition=0, offset=0)),
    ],
)
async def test_what_is_lowered_waits_for_a_set_that_is_whole(outcome: Outcome, after: Claim) -> None:
    """G4: a rebuild under way may put the claim back, and would make a doubt of it; a drain does not wait for that."""
    dedup, one = whole(), attempt()
    dedup.claims[KEY] = Claim(State.SENDING, attempt=one.id)
    await dedup.unset_whole()
    clock = FakeClock()
    telling = AfterCommit(dedup, clock)
    telling.recorded([Finished(one, Settle(outcome, attempt=one.id))])
    await until(lambda: clock.s > 1000.0)
    assert (telling.busy, dedup.claims[KEY].state) == (False, State.SENDING)
    dedup.mark()
    await telling.end(timeout_s=60)
    assert dedup.claims[KEY] == after


async def test_sent_is_a_fact_in_any_set() -> None:
    """G1: it is told at once, whole or not, whatever waits beside it."""
    dedup, one = whole(), attempt()
    await dedup.unset_whole()
    telling = AfterCommit(dedup, FakeClock())
    doubt = Finished(Attempt(ticket(key=b"u2:2026-11"), "other"), Settle(Outcome.UNCERTAIN, attempt="other"))
    telling.recorded([doubt, Finished(one, Settle(Outcome.SENT, message_id="m1", attempt=one.id))])
    await until(lambda: not telling._tasks)
    assert dedup.claims[KEY].state is State.SENT_RECORDED
    await telling.end(timeout_s=0.01)
