"""The fold that says what became of each mail, and what a dead letter may do."""

from __future__ import annotations

import msgspec
import pytest

from processor.core.outcomes import PENDING, Mail, count, with_job
from processor.core.outcomes import with_delivery as with_entry
from processor.core.requeue import Refused, Requeued, requeued
from processor.ops.missing import why_no_mail
from schemas.codec import REQUEUE_HEADER, RESEND_HEADER, decode_mark, decode_requeue, decode_resend, encode
from schemas.kafka.reading import Record
from schemas.records import Delivery, Feedback, Mark, Marked, Outcome, Requeue, Resend, Source
from schemas.runtime.errors import BadRecord
from tests.support.world import MONTH, job


def published(mail: Mail | None = None, offset: int = 0, at_ms: int = 0, *, tombstone: bool = False) -> Mail | None:
    return with_job(mail, Record(0, offset, b"u1:2026-11", None if tombstone else b"{}", [], at_ms))


def with_delivery(mail: Mail | None, delivery: Delivery, partition: int = 0) -> Mail:
    return with_entry(mail, delivery, partition)


def ended(outcome: Outcome, offset: int = 0, at_ms: int = 0, **about: object) -> Delivery:
    source = Source("jobs", 0, offset, at_ms)
    return Delivery(outcome=outcome, at_ms=1, source=source, instance="p", **about)  # type: ignore[arg-type]


def test_a_job_waits_until_the_ledger_knows_it() -> None:
    """Pending, then its outcome."""
    mail = published()
    assert mail is not None
    assert mail.standing == PENDING
    assert with_delivery(mail, ended(Outcome.SENT)).standing == "sent"
    assert with_delivery(None, ended(Outcome.SENT)).standing == "sent"


def test_a_newer_record_after_a_dead_one_is_another_chance() -> None:
    """But not after one that SES may have accepted."""
    dead = with_delivery(published(), ended(Outcome.DEAD))
    assert dead.standing == "dead"
    again = published(dead, offset=5, at_ms=9)
    assert again is not None
    assert again.standing == PENDING
    dropped = with_delivery(again, ended(Outcome.DEAD, offset=5, at_ms=9, message_id="m"))
    newer = published(dropped, offset=7, at_ms=11)
    assert newer is not None
    assert newer.standing == "dead"


def test_tombstones_and_late_records() -> None:
    """A tombstone for nobody is no job; an older record read later changes nothing."""
    assert published(None, tombstone=True) is None
    mail = published(None, offset=3, at_ms=30)
    assert published(mail, offset=1, at_ms=10) == mail
    cancelled = published(mail, offset=4, at_ms=40, tombstone=True)
    assert cancelled is not None
    assert cancelled.job_offset == 4


def test_a_doubt_after_a_proof_says_nothing() -> None:
    """The proof came while the doubt was on its way to the ledger."""
    sent = with_delivery(None, ended(Outcome.SENT))
    assert with_delivery(sent, ended(Outcome.UNCERTAIN)) == sent
    dropped = with_delivery(None, ended(Outcome.DEAD, message_id="m", attempt="a"))
    assert with_delivery(dropped, ended(Outcome.UNCERTAIN, attempt="a")) == dropped
    assert with_delivery(dropped, ended(Outcome.UNCERTAIN, attempt="b")).outcome is Outcome.UNCERTAIN


@pytest.mark.parametrize("outcome", [Outcome.DEAD, Outcome.CANCELLED, Outcome.SUPPRESSED])
def test_sent_is_lowered_by_ses_alone(outcome: Outcome) -> None:
    """G6: whoever said something else after it did not know of the mail."""
    sent = with_delivery(None, ended(Outcome.SENT, message_id="m", attempt="a"))
    assert with_delivery(sent, ended(outcome, offset=9)) == sent
    assert with_delivery(sent, ended(Outcome.DEAD, message_id="m", attempt="a")).outcome is Outcome.DEAD


def test_counts_add_up() -> None:
    """Each job in exactly one outcome, or pending."""
    mails = [with_delivery(None, ended(outcome)) for outcome in Outcome]
    counts = count(MONTH, [*mails, Mail(job_offset=1)])
    told = {name: many for name, many in msgspec.to_builtins(counts).items() if name != "arrivals"}
    assert told == {
        "month": MONTH,
        "jobs": 6,
        "sent": 1,
        "dead": 1,
        "uncertain": 1,
        "suppressed": 1,
        "cancelled": 1,
        "pending": 1,
    }


@pytest.mark.parametrize(
    ("mail", "why"),
    [
        (None, ("never-published", "no job of this month: was the row rejected?")),
        (Mail(job_offset=1), ("pending", "")),
        (
            Mail(job_offset=3, job_at_ms=3, outcome=Outcome.DEAD, reason="r", frees_key=True),
            ("pending", "once dead: r"),
        ),
        (Mail(outcome=Outcome.SENT), None),
        (Mail(outcome=Outcome.SENT, feedback=Feedback.BOUNCED, reason="general"), ("bounced", "general")),
        (Mail(outcome=Outcome.SUPPRESSED, reason="suppression-list"), ("suppressed", "suppression-list")),
        (Mail(outcome=Outcome.UNCERTAIN), ("uncertain", "")),
    ],
)
def test_who_has_no_mail_and_why(mail: Mail | None, why: tuple[str, str] | None) -> None:
    """The question everyone asks."""
    assert why_no_mail(mail) == why


ASKED = Requeue(times=0, place="1:2", who="ops", at_ms=5)


def letter(key: bytes | None = b"u1:2026-11", value: bytes | None = None) -> Record:
    return Record(1, 2, key, encode(job("u1")) if value is None else value, [], 0)


def follow(record: Record, mail: Mail | None = None, **about: object) -> Requeued | Refused:
    known: dict[str, object] = {"headers": [], "mark": None, "asked": ASKED, "times_max": 2}
    known |= {"first_month": "2026-11"} | about
    return requeued(record, mail=mail, **known)  # type: ignore[arg-type]


def test_a_letter_of_a_closed_month_stays() -> None:
    """G6: it would be dead again, of the same reason."""
    follows = follow(letter(), first_month="2026-12")
    assert isinstance(follows, Refused)
    assert follows.why == "u1:2026-11: its month is closed, 2026-12 is the first that may still be mailed"


def test_a_letter_goes_back_as_it_was() -> None:
    """Key, value and headers are the original ones; a header says where it comes from."""
    follows = follow(letter(), with_delivery(None, ended(Outcome.DEAD)), headers=[("trace", b"1")])
    assert isinstance(follows, Requeued)
    assert (follows.key, follows.value) == (b"u1:2026-11", encode(job("u1")))
    assert follows.headers[0] == ("trace", b"1")
    assert decode_requeue(follows.headers) == msgspec.structs.replace(ASKED, times=1)


def test_corrections_are_made_and_kept() -> None:
    """Fields of the job and of the template's data."""
    asked = msgspec.structs.replace(ASKED, changes={"email": "x@y.de", "usage": "7"})
    follows = follow(letter(), asked=asked)
    assert isinstance(follows, Requeued)
    value = msgspec.json.decode(follows.value)
    assert (value["email"], value["data"]["usage"], value["data"]["name"]) == ("x@y.de", "7", "User u1")
    note = decode_requeue(follows.headers)
    assert note is not None
    assert note.changes == {"email": "x@y.de", "usage": "7"}


@pytest.mark.parametrize(
    ("record", "mail", "about", "says"),
    [
        (letter(key=b"junk"), None, {}, "no key"),
        (letter(key=None), None, {}, "no key"),
        (letter(), Mail(outcome=Outcome.SENT), {}, "was sent meanwhile"),
        (letter(), Mail(outcome=Outcome.UNCERTAIN), {}, "may have accepted"),
        (letter(), Mail(outcome=Outcome.DEAD), {}, "may have accepted"),
        (letter(), Mail(outcome=Outcome.CANCELLED, frees_key=True), {}, "was cancelled"),
        (
            letter(),
            Mail(job_offset=9, job_at_ms=9, outcome=Outcome.DEAD, frees_key=True),
            {},
            "newer job",
        ),
        (letter(), None, {"mark": Mark(what=Marked.DISCARDED, who="ann", at_ms=1)}, "already discarded by ann"),
        (letter(value=b"junk"), None, {}, "would die again (not-json)"),
        (letter(value=b"junk"), None, {"asked": msgspec.structs.replace(ASKED, changes={"a": "b"})}, "readable job"),
        (
            letter(),
            None,
            {"headers": [(REQUEUE_HEADER, encode(msgspec.structs.replace(ASKED, times=2)))]},
            "came back 2 times",
        ),
    ],
)
def test_what_stays_where_it_is(record: Record, mail: Mail | None, about: dict[str, object], says: str) -> None:
    """Each refusal names the mail and says why."""
    follows = follow(record, mail, **about)
    assert isinstance(follows, Refused)
    assert says in follows.why


DROPPED = Mail(outcome=Outcome.DEAD, message_id="m1", attempt="first", reason="rendering-failure")


def test_what_ses_dropped_goes_back_with_leave_to_call_again() -> None:
    """The leave names the attempt that SES dropped, by whom it was given and why; the corrections are the letter's."""
    asked = msgspec.structs.replace(ASKED, changes={"usage": "7"})
    follows = follow(letter(), DROPPED, asked=asked, headers=[(RESEND_HEADER, b"spent"), ("trace", b"1")])
    assert isinstance(follows, Requeued)
    assert msgspec.json.decode(follows.value)["data"]["usage"] == "7"
    assert decode_resend(follows.headers) == Resend("first", "ops", "dead letter 1:2 was requeued", 5)
    assert [name for name, _ in follows.headers].count(RESEND_HEADER) == 1
    said = follow(letter(), DROPPED, asked=msgspec.structs.replace(ASKED, why="template mended"))
    assert isinstance(said, Requeued)
    leave = decode_resend(said.headers)
    assert leave is not None
    assert leave.why == "template mended"


def test_of_what_ses_dropped_the_newest_record_goes_out() -> None:
    """G5: a corrected row that was published since is sent, not the letter's own; a tombstone is nothing to send."""
    corrected = encode(job("u1", email="right@mail.example.net"))
    newest = Record(1, 9, b"u1:2026-11", corrected, [("trace", b"2")], 9)
    follows = follow(letter(), DROPPED, newest=newest)
    assert isinstance(follows, Requeued)
    assert (follows.value, follows.headers[0]) == (corrected, ("trace", b"2"))
    cancelled = follow(letter(), DROPPED, newest=msgspec.structs.replace(newest, value=None))
    assert isinstance(cancelled, Refused)
    assert "was cancelled" in cancelled.why


def test_only_what_ses_dropped_has_leave() -> None:
    """G1: a letter of a record that was never accepted goes back without leave, and as it is."""
    newest = Record(1, 2, b"u1:2026-11", b"{}", [], 9)
    follows = follow(letter(), with_delivery(None, ended(Outcome.DEAD, attempt="refused")), newest=newest)
    assert isinstance(follows, Requeued)
    assert (decode_resend(follows.headers), follows.value) == (None, encode(job("u1")))


def test_a_letter_without_a_value_stays() -> None:
    """A tombstone is nothing to send."""
    follows = follow(Record(1, 2, b"u1:2026-11", None, [], 0))
    assert isinstance(follows, Refused)


def test_a_requeue_header_that_cannot_be_read_tells_nothing() -> None:
    """Somebody else's header."""
    assert decode_requeue([(REQUEUE_HEADER, b"junk")]) is None
    assert decode_requeue([("other", None)]) is None


def test_marks_survive_their_bytes() -> None:
    """What one command writes, another reads; junk is said so."""
    mark = Mark(what=Marked.REQUEUED, who="ops", why="mended", at_ms=1, changes={"email": "x@y.de"})
    assert decode_mark(encode(mark)) == mark
    with pytest.raises(BadRecord):
        decode_mark(b"[]")
