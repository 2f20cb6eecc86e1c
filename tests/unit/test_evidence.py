"""What SES's events say, in each envelope, and what is none of ours."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from infra.ses_sandbox.events import _enveloped, event_of
from infra.ses_sandbox.model import AcceptedMail
from processor.core.arrivals import Said
from processor.core.cloudtrail import KIND, read_log
from processor.core.evidence import (
    Foreign,
    Meaning,
    Owner,
    SesEvent,
    drop_is_news,
    is_early,
    owner,
    proof_is_news,
    read_event,
)
from processor.core.states import ABSENT, Claim, State
from processor.core.uncertain import may_resend
from processor.evidence.aside import SAID_MAX, Aside
from processor.evidence.origin import Origin
from schemas.control import Installation
from schemas.identity import TAG_SOURCE, Key, Place, message_tags
from schemas.records import Arrival, Feedback
from schemas.runtime.errors import BadRecord

KEY = Key("a:b", "2026-11")
MAIL = AcceptedMail(
    n=0,
    at_ms=1_795_563_387_360,
    message_id="m1",
    sender="u@example.com",
    to=["a@b.de"],
    tags=message_tags(KEY, "att"),
    subject="s",
)


@pytest.mark.parametrize("envelope", ["raw", "sns", "eventbridge"])
@pytest.mark.parametrize("kind", ["Send", "Delivery", "Bounce", "Complaint", "Reject", "Rendering Failure"])
def test_events_are_read_in_each_envelope(envelope: str, kind: str) -> None:
    """Key, attempt and message id; the event itself without its envelope."""
    event = read_event(_enveloped(event_of(MAIL, kind), envelope).encode())
    assert isinstance(event, SesEvent)
    assert (event.kind, event.key, event.attempt, event.message_id) == (kind, KEY, "att", "m1")
    dropped = kind in {"Reject", "Rendering Failure"}
    assert event.meaning is (Meaning.DROPPED if dropped else Meaning.ACCEPTED)
    assert event.sent_at_ms == MAIL.at_ms
    lasting = {"Bounce": (Feedback.BOUNCED, ("a@b.de",)), "Complaint": (Feedback.COMPLAINED, ("a@b.de",))}
    assert (event.feedback, event.recipients) == lasting.get(kind, (None, ()))
    reasons = {"Reject": "rejected-by-ses", "Rendering Failure": "rendering-failure"}
    assert event.reason == reasons.get(kind, str(event.feedback or ""))
    assert json.loads(event.body)["mail"]["messageId"] == "m1"


@pytest.mark.parametrize(
    "event",
    [
        {"Type": "SubscriptionConfirmation", "Message": "x"},
        {"eventType": "Something New", "mail": {}},
        {"eventType": "Send", "mail": {"tags": {}, "messageId": "m"}},
        {"eventType": "Send", "mail": {"tags": [], "messageId": "m"}},
        {"notificationType": "Bounce", "mail": {"messageId": "m"}},
    ],
)
def test_other_mail_is_passed_over(event: dict[str, object]) -> None:
    """The queue may be shared: what does not carry our tags is not ours."""
    assert isinstance(read_event(json.dumps(event).encode()), Foreign)


TAGS = {name: [value] for name, value in message_tags(KEY, "att").items()}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b'"text"',
        b"{}",
        b'{"mail": 1, "eventType": "Send"}',
        b'{"mail": {}, "eventType": 7}',
        json.dumps({"eventType": "Send", "mail": {"tags": TAGS}}).encode(),
        json.dumps({"eventType": "Send", "mail": {"tags": TAGS, "messageId": 5}}).encode(),
        json.dumps({"Type": "Notification", "Message": "{"}).encode(),
        b'{"Type": []}',
        json.dumps({"detail": {"detail": {"detail": {"detail": {}}}}}).encode(),
        json.dumps({"eventType": "Send", "mail": {"tags": TAGS, "messageId": "m" * 201}}).encode(),
        b'{"eventType": "Send", "mail": ' + b"[" * 900 + b"]" * 900 + b"}",
        json.dumps({"Type": "Notification", "Message": "[" * 900 + "]" * 900}).encode(),
        b'{"mail": "' + b"x" * 900_000 + b'"}',
    ],
    ids=range(16),
)
def test_what_is_no_event_is_said_so(body: bytes) -> None:
    """Never a traceback: a stable code, to be dead-lettered with its bytes."""
    with pytest.raises(BadRecord) as caught:
        read_event(body)
    assert caught.value.code == "bad-event"


def event(kind: str = "Send", **changes: object) -> SesEvent:
    return replace(SesEvent(kind, KEY, "mine", "m1", 1_000_000, b"{}"), **changes)  # type: ignore[arg-type]


MINE = {
    State.ABSENT: ABSENT,
    State.SENDING: Claim(State.SENDING, attempt="mine", since_ms=1),
    State.BARRED: Claim(State.BARRED, attempt="mine", since_ms=1),
    State.SENT: Claim(State.SENT, message_id="m1"),
    State.SENT_RECORDED: Claim(State.SENT_RECORDED, fingerprint="f"),
    State.UNCERTAIN: Claim(State.UNCERTAIN, attempt="mine"),
    State.UNCERTAIN_RECORDED: Claim(State.UNCERTAIN_RECORDED, attempt="mine"),
    State.DROPPED: Claim(State.DROPPED, attempt="mine"),
    State.CLOSED: Claim(State.CLOSED, partition=0, offset=1),
}


@pytest.mark.parametrize("state", list(State))
def test_what_is_news(state: State) -> None:
    """G2: an acceptance that nobody else will record is recorded; word about another attempt changes nothing."""
    known = {State.SENT_RECORDED, State.DROPPED}
    assert proof_is_news(event(), MINE[state]) == (state not in known)
    assert drop_is_news(event("Reject"), MINE[state])
    others = {State.SENDING, State.BARRED, State.UNCERTAIN, State.UNCERTAIN_RECORDED, State.DROPPED}
    if state in others:
        assert not drop_is_news(event("Reject"), structs.replace(MINE[state], attempt="other"))


def test_what_counts_once_has_a_name() -> None:
    """An acceptance counts once whichever event tells of it; a bounce and a drop each for themselves."""
    assert event("Send").note == event("Delivery").note == ("2026-11", "accepted:m1")
    assert event("Reject").note == ("2026-11", "Reject:m1")
    assert event("Bounce", said=Said(Arrival.HARD_BOUNCED)).note == ("2026-11", "Bounce:m1")


def test_word_about_another_message_is_no_news() -> None:
    """G1: after a resend, late events of the first message are not taken for the second's."""
    other = Claim(State.SENT, message_id="m2")
    assert not proof_is_news(event(), other)
    assert not drop_is_news(event("Reject"), other)
    assert proof_is_news(event(), Claim(State.DROPPED, attempt="other"))
    assert not drop_is_news(event("Reject"), Claim(State.SENT_RECORDED, fingerprint="f", attempt="other"))
    assert not drop_is_news(event("Reject"), Claim(State.UNCERTAIN_RECORDED, attempt="~other"))
    assert drop_is_news(event("Reject"), Claim(State.UNCERTAIN_RECORDED, attempt="~other~mine"))


def test_bounces_before_our_own_record_wait() -> None:
    """A mark that our own record would overwrite comes again later; not for ever."""
    bounce = event("Bounce", said=Said(Arrival.HARD_BOUNCED))
    assert is_early(bounce, MINE[State.SENT], 1_001_000)
    assert not is_early(bounce, MINE[State.SENT], 1_040_000)
    assert not is_early(bounce, MINE[State.SENT_RECORDED], 1_001_000)
    assert not is_early(event(), MINE[State.SENT], 1_001_000)


@pytest.mark.parametrize(
    ("kind", "about", "feedback"),
    [
        ("Bounce", {"bounce": {"bounceType": "Transient", "bouncedRecipients": [{"emailAddress": "A@b.de"}]}}, None),
        ("Bounce", {"bounce": {"bounceType": "Permanent", "bouncedRecipients": "x"}}, Feedback.BOUNCED),
        ("Bounce", {"bounce": {"bounceType": "Permanent", "bouncedRecipients": [1, {"emailAddress": 2}]}}, "bounced"),
        ("Bounce", {"bounce": 7}, None),
        ("Complaint", {"complaint": {}}, Feedback.COMPLAINED),
        ("Complaint", {"complaint": {"complaintFeedbackType": "abuse"}}, Feedback.COMPLAINED),
        ("Complaint", {"complaint": {"complaintFeedbackType": "not-spam"}}, None),
        ("Complaint", {"complaint": {"complaintFeedbackType": "auth-failure"}}, None),
        ("COMPLAINT", {"complaint": {"complaintSubType": "OnAccountSuppressionList"}}, Feedback.COMPLAINED),
    ],
)
def test_only_lasting_feedback_counts(kind: str, about: dict[str, object], feedback: Feedback | None) -> None:
    """A transient bounce suppresses nobody; odd recipients are passed over."""
    body = {"eventType": kind, "mail": {"tags": TAGS, "messageId": "m", "timestamp": "yesterday"}, **about}
    found = read_event(json.dumps(body).encode())
    assert isinstance(found, SesEvent)
    assert found.feedback == feedback
    assert found.sent_at_ms == 0


@pytest.mark.parametrize(
    ("named", "wrote", "suppressed"),
    [
        (["<A@b.de>"], ["a@b.de"], ["a@b.de"]),
        (["Jane <a@b.de>"], ["A@B.de"], ["a@b.de"]),
        (["rfc822;a@b.de"], ["a@b.de"], ["a@b.de"]),
        (["forwarded@else.where"], ["a@b.de"], ["a@b.de"]),
        ([], ["Ann <a@b.de>"], ["a@b.de"]),
        (["x" * 400], ["a@b.de", 7, ""], ["a@b.de"]),
        (["a@b.de"], None, []),
        (["RFC822; <copy@b.de>"], ["a@b.de", "copy@b.de"], ["copy@b.de"]),
        (["forwarded@else.where"], ["a@b.de", "copy@b.de"], []),
    ],
)
@pytest.mark.parametrize("kind", ["Bounce", "Complaint"])
def test_who_was_written_to_is_suppressed(kind: str, named: list[str], wrote: object, suppressed: list[str]) -> None:
    """Not whom the receiving side names in its own way: that tells only which of several it is about."""
    field = "bouncedRecipients" if kind == "Bounce" else "complainedRecipients"
    about = {"bounceType": "Permanent", field: [{"emailAddress": name} for name in named]}
    mail = {"tags": TAGS, "messageId": "m", "destination": wrote}
    found = read_event(json.dumps({"eventType": kind, "mail": mail, kind.lower(): about}).encode())
    assert isinstance(found, SesEvent)
    assert list(found.recipients) == suppressed


LINK = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=a&Token=t"


@pytest.mark.parametrize(
    ("message", "say"),
    [
        ("Successfully validated SNS topic for Amazon SES event publishing.", ""),
        ({"Type": "Notification", "Message": "Successfully validated SNS topic for Amazon SES."}, ""),
        ({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have"}, ""),
        ({"Type": "Notification", "Message": '{"notificationType": "AmazonSnsSubscriptionSucceeded"}\n'}, ""),
        ({"source": "aws.ses", "detail-type": "Advisor Recommendation Status Open", "detail": {"x": 1}}, "Advisor"),
        ({"source": "aws.ses", "detail-type": "Sending Status Disabled", "detail": {}}, "Sending Status Disabled"),
        ({"source": "aws.ses", "detail": {}}, "no type"),
        ({"Type": "UnsubscribeConfirmation"}, "has ended"),
        ({"Type": "SubscriptionConfirmation", "TopicArn": "arn:t", "SubscribeURL": LINK}, f"somebody opens {LINK}"),
        ({"Type": "SubscriptionConfirmation", "SubscribeURL": "https://evil.example/"}, "not SNS's"),
    ],
)
def test_notices_are_known_and_no_dead_letter(message: object, say: str) -> None:
    """What SNS and EventBridge send through the same queue; an operator is told what is theirs to do, with SNS's link."""
    found = read_event(message.encode() if isinstance(message, str) else json.dumps(message).encode())
    assert isinstance(found, Foreign)
    assert found.tagged
    assert say in found.say
    assert bool(say) == bool(found.say)


def test_an_array_of_one_is_its_event() -> None:
    """As EventBridge's pipes hand events over; of several none is guessed at."""
    one = {"eventType": "send", "mail": {"tags": TAGS, "messageId": "m"}}
    assert isinstance(read_event(json.dumps([one]).encode()), SesEvent)
    with pytest.raises(BadRecord):
        read_event(json.dumps([one, one]).encode())


def test_events_lead_back_to_the_job() -> None:
    """The tag names the record's place; a tag that nobody of us wrote names none."""
    for tag, place in (("3-17-ab12", Place(3, 17, "ab12")), ("x", Place()), ("3-17", Place())):
        body = {"eventType": "Send", "mail": {"tags": TAGS | {TAG_SOURCE: [tag]}, "messageId": "m"}}
        found = read_event(json.dumps(body).encode())
        assert isinstance(found, SesEvent)
        assert found.place == place


# ---- whose ----

OURS = Installation(id="ours", adopted=["former"])


@pytest.mark.parametrize(
    ("installation", "whose"),
    [
        ("ours", Owner.OURS),
        ("theirs", Owner.ANOTHERS),
        ("former", Owner.OURS_IF_INTENDED),
        ("", Owner.OURS_IF_INTENDED),
    ],
)
def test_an_event_says_whose_mail_it_is(installation: str, whose: Owner) -> None:
    """G2: by the message's tag; 0.1 wrote none, and what was adopted carries another."""
    tags = {name: [value] for name, value in message_tags(KEY, "att", installation).items()}
    found = read_event(json.dumps({"eventType": "Send", "mail": {"tags": tags, "messageId": "m"}}).encode())
    assert isinstance(found, SesEvent)
    assert owner(found, OURS) is whose
    record = RECORD | {"requestParameters": {"emailTags": [{"name": n, "value": v[0]} for n, v in tags.items()]}}
    (logged,) = read_log(json.dumps({"Records": [record]}).encode())
    assert isinstance(logged, SesEvent)
    assert owner(logged, OURS) is whose


def test_events_without_our_tags_are_told_apart() -> None:
    """Other mail of the account is no other installation's."""
    untagged = read_event(json.dumps({"eventType": "Send", "mail": {"tags": {}, "messageId": "m"}}).encode())
    notice = read_event(json.dumps({"Type": "SubscriptionConfirmation"}).encode())
    assert isinstance(untagged, Foreign)
    assert isinstance(notice, Foreign)
    assert (untagged.tagged, notice.tagged) == (False, True)


class Known:
    """The attempts of a ledger."""

    def __init__(self, *attempts: str) -> None:
        self.asked = 0
        self._attempts = attempts

    def known(self, wanted: Iterable[tuple[bytes, str]]) -> set[tuple[bytes, str]]:
        self.asked += 1
        return {one for one in wanted if one[1] in self._attempts}


async def test_another_installations_events_prove_nothing_and_are_told_once_a_minute() -> None:
    """G2: they stay, are counted once however often they come back, and the ledger is asked about doubtful ones alone."""
    counts, now, known = Counter[str](), [0.0], Known("att")
    origin = Origin(OURS, known, counts, lambda: now[0])  # type: ignore[arg-type]
    mine, theirs = event(installation="ours"), event(installation="theirs", body=b"1")
    old, stranger = event(attempt="att", body=b"2"), event(attempt="x", installation="former", body=b"3")
    with capture_logs() as said:
        sort = await origin.sort([mine, theirs])
        assert (sort.ours, sort.others, sort.news, known.asked) == ([mine], [theirs], True, 0)
        assert not (await origin.sort([theirs])).news
        sort = await origin.sort([old, stranger])
        assert (sort.ours, sort.others) == ([old], [stranger])
        assert (counts["foreign"], len(said)) == (2, 1)
        now[0] = 61.0
        await origin.sort([event(installation="others", body=b"4")])
    assert [(entry["count"], entry["installations"]) for entry in said] == [(1, ["theirs"]), (2, ["others"])]


def test_what_concerns_no_mail_is_counted_and_said_once_a_minute() -> None:
    """An identity's notifications carry no tags: the operator is told what is amiss; other mail's events need no word."""
    counts, now = Counter[str](), [0.0]
    aside = Aside(counts, lambda: now[0])
    identity = read_event(json.dumps({"notificationType": "Bounce", "mail": {"messageId": "m"}}).encode())
    other = read_event(json.dumps({"eventType": "Send", "mail": {"tags": {}, "messageId": "m"}}).encode())
    assert isinstance(identity, Foreign)
    assert isinstance(other, Foreign)
    with capture_logs() as said:
        for foreign in (identity, other, identity):
            aside.take(foreign)
        assert "is the configuration set used" in said[0]["follows"].replace("\n", " ")
        now[0] = 61.0
        aside.take(identity)
        for number in range(SAID_MAX):
            aside.take(Foreign("x", say=str(number)))
    assert len([entry for entry in said if "configuration set" in entry["follows"]]) == 2
    assert (counts["untagged"], counts["foreign"], len(said)) == (4, SAID_MAX, SAID_MAX + 2)


# ---- CloudTrail ----

RECORD = {
    "eventTime": "2026-11-01T00:00:31Z",
    "eventSource": "ses.amazonaws.com",
    "eventName": "SendEmail",
    "requestParameters": {
        "destination": {"toAddresses": ["HIDDEN_DUE_TO_SECURITY_REASONS"]},
        "emailTags": [{"value": value, "name": name} for name, value in message_tags(KEY, "att").items()],
    },
    "responseElements": None,
    "additionalEventData": {"sesMessageId": "m1"},
}


def test_cloudtrail_proves_acceptance() -> None:
    """The request's tags and SES's message id; a refused call and other calls prove nothing."""
    log = {
        "Records": [
            RECORD,
            RECORD | {"errorCode": "MessageRejected"},
            RECORD | {"eventName": "GetAccount"},
            RECORD | {"additionalEventData": None},
            RECORD | {"requestParameters": {"emailTags": "x"}},
            7,
        ]
    }
    first, *others, bad = list(read_log(json.dumps(log).encode()))
    assert isinstance(first, SesEvent)
    assert (first.kind, first.key, first.attempt, first.message_id) == (KIND, KEY, "att", "m1")
    assert first.meaning is Meaning.ACCEPTED
    assert all(isinstance(other, Foreign) for other in others)
    assert isinstance(bad, BadRecord)
    assert "Records[5]" in bad.detail


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"Records": 1}', b"\xff", b"[" * 101 + b"]" * 101])
def test_what_is_no_log_is_said_so(content: bytes) -> None:
    """Never a traceback."""
    with pytest.raises(BadRecord) as caught:
        list(read_log(content))
    assert caught.value.code == "bad-log"


# ---- sending again by policy ----


@pytest.mark.parametrize(
    ("now_s", "alive_s", "allowed"),
    [
        (3599, 7200, False),  # the window has not passed
        (3600, 0, False),  # the feed told of nothing
        (3600, 59, False),  # of nothing that was certainly later
        (3600, 60, True),
        (9999, 3000, True),
    ],
)
def test_silence_proves_something_only_while_the_feed_lives(now_s: int, alive_s: int, allowed: bool) -> None:
    """G1: a feed that fell silent proves nothing."""
    at = 1_000_000_000
    alive = at + alive_s * 1000 if alive_s else 0
    assert may_resend(at, at + now_s * 1000, alive, 3600) is allowed
