"""Records become tickets: jobs, tombstones, and what must not reach SES."""

from __future__ import annotations

import pytest

from processor.core.answers import RetryClass
from processor.core.decide import Settle, Skip
from processor.core.offsets import Window
from processor.core.ticket import Attempt, Finished, Ticket, examine, refused
from processor.shell.templates import check_needs
from schemas.codec import RESEND_HEADER, encode
from schemas.kafka.reading import Record
from schemas.records import Outcome, Resend
from schemas.runtime.errors import BadRecord
from schemas.templates.template import Needs
from tests.support.parts import attempt
from tests.support.world import job


def look(value: bytes | None, key: bytes | None = b"u1:2026-11", suppressed: frozenset[str] = frozenset()) -> Ticket:
    record = Record(0, 5, key, value, [], 0)
    return examine(record, Window(0), floor="2025-11", suppressed=suppressed)


def test_a_job_is_read() -> None:
    """A good record becomes a job with its fingerprint."""
    ticket = look(encode(job("u1")))
    assert ticket.job is not None
    assert ticket.fingerprint
    assert ticket.refusal is None
    assert not ticket.is_tombstone


def test_a_tombstone_is_no_poison() -> None:
    """A record without a value cancels."""
    ticket = look(None)
    assert ticket.is_tombstone
    assert ticket.refusal is None
    assert look(None, key=b"x").refusal is not None


def test_poison_is_refused_with_its_code() -> None:
    """What cannot be a mail is dead-lettered, its key kept where it has one."""
    ticket = look(b"{")
    assert ticket.refusal is not None
    assert (ticket.refusal.outcome, ticket.refusal.reason, ticket.refusal.report) == (Outcome.DEAD, "not-json", True)
    assert ticket.key is not None
    assert look(b"{", key=b"nonsense").key is None


def test_jobs_of_closed_months_are_too_old() -> None:
    """G1: the dedup set no longer knows them, so they are never sent; a tombstone of such a month still cancels."""
    ticket = look(encode(job("u1", month="2025-10")), key=b"u1:2025-10")
    assert ticket.refusal is not None
    assert (ticket.refusal.reason, ticket.past) == ("too-old", True)
    first = look(encode(job("u1", month="2025-11")), key=b"u1:2025-11")
    assert (first.refusal, first.past) == (None, False)
    assert (look(None, key=b"u1:2025-10").refusal, look(None, key=b"u1:2025-10").past) == (None, True)
    assert look(b"{", key=b"u1:2025-10").past, "what can be no job may have been told of before the month was closed"
    later = first.below("2025-12")
    assert later.refusal is not None
    assert later.refusal.reason == "too-old"
    assert (later.past, later.record) == (True, first.record)


def test_suppressed_addresses_are_not_called_for() -> None:
    """An address on the account's list, however it is written."""
    ticket = look(encode(job("u1", email="Anna@Example.com")), suppressed=frozenset({"anna@example.com"}))
    assert ticket.refusal is not None
    assert (ticket.refusal.outcome, ticket.refusal.report) == (Outcome.SUPPRESSED, False)


def test_missing_template_data_is_poison() -> None:
    """SES would accept it and drop it later without a word."""
    check_needs(job("u1"), Needs(frozenset({"name"})))
    with pytest.raises(BadRecord, match="city, plan") as bad:
        check_needs(job("u1"), Needs(frozenset({"name", "plan", "city"})))
    refusal = refused(bad.value)
    assert (refusal.outcome, refusal.reason, refusal.report) == (Outcome.DEAD, "missing-data", True)


def test_a_leave_to_send_again_is_read() -> None:
    """The header names the attempt; one that cannot be read is no leave, and the record is dead-lettered."""
    leave = Resend("a1", "ops", "lost")
    window = Window(0)

    def ticket(header: bytes) -> Ticket:
        record = Record(0, 5, b"u1:2026-11", encode(job("u1")), [("x", b"y"), (RESEND_HEADER, header)], 0)
        return examine(record, window, floor="2025-11", suppressed=())

    assert ticket(encode(leave)).resend == leave
    assert ticket(encode(leave)).place.offset == 5
    refusal = ticket(b"please").refusal
    assert refusal is not None
    assert refusal.reason == "bad-resend"


def test_what_befalls_an_attempt_makes_another_value() -> None:
    """Nobody who holds an attempt sees it change."""
    first = Attempt(look(encode(job("u1"))), "a1")
    twice = first.refused_for_now(RetryClass.THROTTLED).refused_for_now(RetryClass.THROTTLED)
    assert (dict(first.tries), dict(twice.tries)) == ({}, {RetryClass.THROTTLED: 2})
    assert (first.waiting().waited, first.waited) == (True, False)
    assert twice.waiting().ticket is first.ticket
    assert twice.id == "a1"


def test_a_ticket_that_is_refused_keeps_what_was_read() -> None:
    """Its dead letter and its outcome name the key."""
    ticket = look(encode(job("u1")))
    bad = ticket.refused(BadRecord("missing-data", "city"))
    assert (bad.key, bad.window, bad.fingerprint) == (ticket.key, ticket.window, ticket.fingerprint)
    assert bad.refusal == refused(BadRecord("missing-data", "city"))
    assert (ticket.needs_call, bad.needs_call) == (True, False)


@pytest.mark.parametrize(
    ("result", "not_sent"),
    [
        (Skip("passed over"), True),
        (Settle(Outcome.DEAD, reason="refused"), True),
        (Settle(Outcome.SENT, message_id="m"), False),
        (Settle(Outcome.UNCERTAIN), False),
        (Settle(Outcome.DEAD, reason="dropped-by-ses", message_id="m"), False),
    ],
)
def test_what_ses_took_or_may_have_taken_frees_nothing(result: Settle | Skip, not_sent: bool) -> None:
    """G1: an outcome that nobody records, because its partition was lost, must not let the mail out again."""
    assert Finished(attempt(), result).not_sent is not_sent
