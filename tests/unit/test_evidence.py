"""What SES's events say, in each envelope, and what is none of ours."""

from __future__ import annotations

import json

import pytest

from infra.ses_sandbox.events import _enveloped, event_of
from infra.ses_sandbox.model import AcceptedMail
from processor.core.evidence import Foreign, SesEvent, read_event
from schemas.errors import BadRecord
from schemas.identity import Key, message_tags

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
    assert event.proves_acceptance == (kind not in {"Reject", "Rendering Failure"})
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
        json.dumps({"detail": {"detail": {"detail": {"detail": {}}}}}).encode(),
    ],
)
def test_what_is_no_event_is_said_so(body: bytes) -> None:
    """Never a traceback: a stable code, to be dead-lettered with its bytes."""
    with pytest.raises(BadRecord) as caught:
        read_event(body)
    assert caught.value.code == "bad-event"
