"""SES's events as values: what a message of the queue says, whichever envelope it came in.

Shapes: the SES developer guide, "Contents of event data that Amazon SES publishes", wrapped by SNS, delivered raw, or
as an EventBridge event. Tag values are lists. Events come at least once, late, out of order, and before our own record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.errors import BadRecord
from schemas.identity import Key, read_tags

__all__ = ["Foreign", "SesEvent", "read_event"]

ENVELOPES_MAX = 3
_ACCEPTED = {"Send", "Delivery", "Bounce", "Complaint", "Open", "Click", "DeliveryDelay", "Subscription"}
_REFUSED = {"Rendering Failure", "Reject"}


@dataclass(frozen=True, slots=True)
class SesEvent:
    """An event of one of our mails."""

    kind: str
    key: Key
    attempt: str
    message_id: str
    timestamp: str
    body: bytes
    """The event itself, without its envelope, as JSON."""

    @property
    def proves_acceptance(self) -> bool:
        """SES took the message and tried to deliver it; with a Rendering Failure or Reject it took and dropped it."""
        return self.kind in _ACCEPTED


@dataclass(frozen=True, slots=True)
class Foreign:
    """An event of other mail in the account, or a notice of SNS itself."""

    why: str


def read_event(body: bytes) -> SesEvent | Foreign:
    """What a queue message says; raises `BadRecord` (``bad-event``) when it is no event at all."""
    event = _unwrapped(body)
    if "mail" not in event:
        if event.get("Type") in {"SubscriptionConfirmation", "UnsubscribeConfirmation"}:
            return Foreign("a notice of SNS")
        raise _bad("it has no `mail`")
    mail, kind = event["mail"], event.get("eventType") or event.get("notificationType")
    if not isinstance(mail, dict) or not isinstance(kind, str):
        raise _bad("`mail` or `eventType` is of the wrong type")
    if kind not in _ACCEPTED | _REFUSED:
        return Foreign(f"events of the kind {kind[:40]!r} mean nothing here")
    tags = read_tags(_first_values(mail.get("tags")))
    if tags is None:
        return Foreign("the message does not carry our tags")
    message_id = mail.get("messageId")
    if not isinstance(message_id, str) or not message_id:
        raise _bad("`mail.messageId` is missing")
    return SesEvent(kind, *tags, message_id, str(mail.get("timestamp", "")), msgspec.json.encode(event))


def _unwrapped(body: bytes) -> dict[str, Any]:
    """The event inside SNS's or EventBridge's envelope."""
    value: Any = body
    for _ in range(ENVELOPES_MAX):
        if isinstance(value, str | bytes):
            try:
                value = msgspec.json.decode(value)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise _bad(f"it is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise _bad("it is not a JSON object")
        if "mail" in value:
            return value
        if isinstance(value.get("detail"), dict):
            value = value["detail"]
        elif value.get("Type") == "Notification" and isinstance(value.get("Message"), str):
            value = value["Message"]
        else:
            return value
    raise _bad("too many envelopes")


def _first_values(tags: object) -> dict[str, str]:
    if not isinstance(tags, dict):
        return {}
    found = {name: values[0] if isinstance(values, list) and values else values for name, values in tags.items()}
    return {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, str)}


def _bad(why: str) -> BadRecord:
    return BadRecord("bad-event", f"not an event of SES's: {why}")
