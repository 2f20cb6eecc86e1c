"""Records become work: jobs, tombstones, and what must not reach SES."""

from __future__ import annotations

import pytest

from processor.core.offsets import Window
from processor.core.work import Work, examine, months_between, refused
from processor.templates import check_needs
from schemas.codec import RESEND_HEADER, encode
from schemas.errors import BadRecord
from schemas.reading import Record
from schemas.records import Outcome, Resend
from schemas.template import Needs
from tests.support.world import job


def look(value: bytes | None, key: bytes | None = b"u1:2026-11", suppressed: frozenset[str] = frozenset()) -> Work:
    record = Record(0, 5, key, value, [], 0)
    return examine(record, Window(0), this_month="2026-11", retention_months=13, suppressed=suppressed)


def test_a_job_is_read() -> None:
    """A good record becomes a job with its fingerprint."""
    work = look(encode(job("u1")))
    assert work.job is not None
    assert work.fingerprint
    assert work.refusal is None
    assert not work.is_tombstone


def test_a_tombstone_is_no_poison() -> None:
    """A record without a value cancels."""
    work = look(None)
    assert work.is_tombstone
    assert work.refusal is None
    assert look(None, key=b"x").refusal is not None


def test_poison_is_refused_with_its_code() -> None:
    """What cannot be a mail is dead-lettered, its key kept where it has one."""
    work = look(b"{")
    assert work.refusal is not None
    assert (work.refusal.outcome, work.refusal.reason, work.refusal.report) == (Outcome.DEAD, "not-json", True)
    assert work.key is not None
    assert look(b"{", key=b"nonsense").key is None


def test_jobs_older_than_the_retention_are_too_old() -> None:
    """G1: the dedup set no longer knows them, so they are never sent."""
    old = job("u1", month="2025-10")
    work = look(encode(old), key=b"u1:2025-10")
    assert work.refusal is not None
    assert work.refusal.reason == "too-old"
    assert look(encode(job("u1", month="2025-11")), key=b"u1:2025-11").refusal is None
    assert months_between("2025-12", "2026-01") == 1


def test_suppressed_addresses_are_not_called_for() -> None:
    """An address on the account's list, however it is written."""
    work = look(encode(job("u1", email="Anna@Example.com")), suppressed=frozenset({"anna@example.com"}))
    assert work.refusal is not None
    assert (work.refusal.outcome, work.refusal.report) == (Outcome.SUPPRESSED, False)


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

    def work(header: bytes) -> Work:
        record = Record(0, 5, b"u1:2026-11", encode(job("u1")), [("x", b"y"), (RESEND_HEADER, header)], 0)
        return examine(record, window, this_month="2026-11", retention_months=13, suppressed=())

    assert work(encode(leave)).resend == leave
    assert work(encode(leave)).place.offset == 5
    refusal = work(b"please").refusal
    assert refusal is not None
    assert refusal.reason == "bad-resend"
