"""How far mails came, by SES's events: late, doubled, in any order, and what follows for who looks."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from processor.core.arrivals import NOTHING_SAID, Said, canonical, further, kept, read_told, said
from processor.core.evidence import SesEvent, read_event
from processor.core.heard import Heard
from processor.core.outcomes import Mail, count, with_arrival, with_delivery
from processor.ops.missing import why_no_mail
from schemas.identity import Key, message_tags
from schemas.records import Arrival, Delivery, Feedback, Outcome, Source
from tests.support.world import MONTH

KEY = Key("u1", MONTH)
FULL = {"emailAddress": "ann@example.net", "diagnosticCode": "smtp; 552 5.2.2 <ann@example.net> mailbox full"}
EVENTS: list[tuple[str, dict[str, Any], Arrival | None, str]] = [
    ("Send", {"send": {}}, None, ""),
    ("Delivery", {"delivery": {"smtpResponse": "250 ok"}}, Arrival.DELIVERED, "250 ok"),
    (
        "DeliveryDelay",
        {"deliveryDelay": {"delayType": "MailboxFull", "delayedRecipients": [7, FULL]}},
        Arrival.DELAYED,
        "MailboxFull: smtp; 552 5.2.2 <an***@example.net> mailbox full",
    ),
    (
        "Bounce",
        {"bounce": {"bounceType": "Transient", "bounceSubType": "General", "bouncedRecipients": [{"status": "4.0.0"}]}},
        Arrival.SOFT_BOUNCED,
        "Transient/General: 4.0.0",
    ),
    ("Bounce", {"bounce": {"bounceType": "Undetermined"}}, Arrival.SOFT_BOUNCED, "Undetermined/"),
    (
        "Bounce",
        {"bounce": {"bounceType": "Permanent", "bounceSubType": "NoEmail", "bouncedRecipients": "x"}},
        Arrival.HARD_BOUNCED,
        "Permanent/NoEmail",
    ),
    ("Complaint", {"complaint": {"complaintFeedbackType": "abuse"}}, Arrival.COMPLAINED, "abuse"),
    ("Complaint", {"complaint": {"complaintFeedbackType": "not-spam"}}, None, "not-spam"),
    ("Reject", {"reject": {"reason": "Bad content"}}, Arrival.REJECTED, "Bad content"),
    ("Rendering Failure", {"failure": {"errorMessage": "x is missing"}}, Arrival.RENDERING_FAILED, "x is missing"),
    ("Bounce", {"bounce": 7}, None, ""),
    ("Open", {"open": {}}, None, ""),
]


@pytest.mark.parametrize(("kind", "about", "arrival", "words"), EVENTS)
def test_what_an_event_says_survives_its_small_record(
    kind: str, about: dict[str, Any], arrival: Arrival | None, words: str
) -> None:
    """One small record an event: what it says and no more; whole events, as 0.1 wrote them, say the same."""
    mail = {
        "messageId": "m1",
        "timestamp": "2026-11-01T00:00:00Z",
        "destination": ["ann@example.net"],
        "headers": [{"name": "X", "value": "v" * 9_000}],
        "tags": {name: [value] for name, value in message_tags(KEY, "att").items()},
    }
    whole = {"eventType": kind, "mail": mail, **about}
    event = read_event(json.dumps(whole).encode())
    assert isinstance(event, SesEvent)
    assert (event.said.arrival, event.said.words) == (arrival, words)
    assert len(event.body) < 500
    assert b"ann@" not in event.body
    for value in (event.body, json.dumps(whole).encode()):
        told = read_told(value)
        assert told is not None
        assert (told.message_id, told.kind, told.said) == ("m1", kind, said(kind, whole))
    assert event.is_kept == (kind != "Open")


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{}", b'{"mail": {}}', b"\xff"])
def test_what_is_no_event_tells_nothing(value: bytes | None) -> None:
    """`email-events` may hold anything."""
    assert read_told(value) is None


def test_any_words_fit() -> None:
    """However much a server says."""
    loud = said("Reject", {"reject": {"reason": "x" * 100_000}})
    assert len(kept("Reject", "m1", "t" * 1_000, loud)) < 1_000


def test_kinds_in_any_case() -> None:
    """SES writes them in one way in events, in another in settings."""
    assert [canonical(kind) for kind in ("send", "RENDERING_FAILURE", "DeliveryDelay", "delivery_delay", "New")] == [
        "Send",
        "Rendering Failure",
        "DeliveryDelay",
        "DeliveryDelay",
        "New",
    ]


SENT = Mail(outcome=Outcome.SENT, message_id="m1", job_offset=1)


@pytest.mark.parametrize("stands", list(Arrival))
def test_events_in_any_order_and_often_end_the_same(stands: Arrival) -> None:
    """A delay after the delivery is old news; a bounce after it is the outcome."""
    before = [one for one in Arrival if further(one, stands) is stands][-3:]
    for order in permutations([*before, stands]):
        mail: Mail | None = SENT
        for arrival in [*order, order[0]]:
            mail = with_arrival(mail, "m1", Said(arrival, arrival.value)) or mail
        assert mail is not None
        assert mail.arrival is stands
        assert mail.words == ("" if stands is Arrival.DELIVERED else stands.value)


def test_word_on_another_message_says_nothing() -> None:
    """After a resend the first message's bounce is not the second's; nor is what the ledger does not tell of yet."""
    assert with_arrival(None, "m1", Said(Arrival.DELIVERED)) is None
    assert with_arrival(SENT, "m2", Said(Arrival.DELIVERED)) is None
    assert with_arrival(SENT, "m1", NOTHING_SAID) == SENT


def ledger(outcome: Outcome, message_id: str = "m1", **about: Any) -> Delivery:
    usual: dict[str, Any] = {"at_ms": 5, "source": Source("jobs", 0, 1), "instance": "i", "attempt": "a"}
    return Delivery(outcome=outcome, message_id=message_id, **(usual | about))


def test_the_ledger_alone_says_what_lasts() -> None:
    """When events are no longer kept: bounces, complaints and drops are still told of."""
    delivered = with_arrival(with_delivery(None, ledger(Outcome.SENT), 0), "m1", Said(Arrival.DELIVERED))
    again = with_delivery(delivered, ledger(Outcome.SENT), 0)
    assert again.arrival is Arrival.DELIVERED
    bounced = with_delivery(again, ledger(Outcome.SENT, feedback=Feedback.BOUNCED, reason="evidence"), 0)
    assert bounced.arrival is Arrival.HARD_BOUNCED
    complained = with_delivery(again, ledger(Outcome.SENT, feedback=Feedback.COMPLAINED), 0)
    assert complained.arrival is Arrival.COMPLAINED
    dropped = with_delivery(again, ledger(Outcome.DEAD, reason="rendering-failure"), 0)
    assert dropped.arrival is Arrival.RENDERING_FAILED
    assert with_delivery(None, ledger(Outcome.DEAD, "m2", reason="rejected-by-ses"), 0).arrival is Arrival.REJECTED
    resent = with_delivery(dropped, ledger(Outcome.SENT, "m2", attempt="b", overrides="a"), 0)
    assert (resent.outcome, resent.arrival, resent.words) == (Outcome.SENT, None, "")
    counts = count(MONTH, [again, bounced, dropped, resent, Mail(job_offset=1)])
    assert (counts.jobs, counts.sent, counts.dead, counts.pending) == (5, 3, 1, 1)
    came = counts.arrivals
    assert (came.delivered, came.hard_bounced, came.rendering_failed, came.complained) == (1, 1, 1, 0)


def test_who_was_told_later_and_who_not_at_all_is_missing() -> None:
    """A mail that has not arrived is none."""
    soft = with_arrival(SENT, "m1", Said(Arrival.SOFT_BOUNCED, "Transient/MailboxFull", "552 full"))
    assert why_no_mail(soft) == ("soft-bounced", "Transient/MailboxFull: 552 full")
    assert why_no_mail(with_arrival(SENT, "m1", Said(Arrival.DELAYED, "MailboxFull"))) == ("delayed", "MailboxFull")
    assert why_no_mail(with_arrival(SENT, "m1", Said(Arrival.DELIVERED, "", "250 ok"))) is None
    hard = with_arrival(SENT, "m1", Said(Arrival.HARD_BOUNCED, "Permanent/General"))
    assert why_no_mail(hard) == ("hard-bounced", "Permanent/General")


def test_events_before_the_ledger_are_kept_until_it_tells() -> None:
    """The one that says most of a message, whichever came first."""
    heard, key = Heard(), KEY.to_bytes()
    mails: dict[bytes, Mail] = {}
    for arrival in (Arrival.DELAYED, Arrival.DELIVERED, Arrival.DELAYED):
        kind = "Delivery" if arrival is Arrival.DELIVERED else "DeliveryDelay"
        heard.hear(mails, key, kept(kind, "m1", "", Said(arrival, "x")))
    heard.again(mails)
    assert mails == {}
    mails[key] = with_delivery(None, ledger(Outcome.SENT), 0)
    heard.again(mails)
    assert mails[key].arrival is Arrival.DELIVERED
    heard.hear(mails, key, b"junk")
    assert mails[key].arrival is Arrival.DELIVERED
