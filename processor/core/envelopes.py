"""A queue message without its envelope: SES's event itself, or a notice of those that share the queue with it.

Shapes: SNS's notifications and subscription confirmations, EventBridge's events, as AWS's developer guides show them.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from schemas.gate import depth_above
from schemas.limits import DEPTH_MAX, shortened
from schemas.runtime.errors import BadRecord

__all__ = ["Notice", "bad_event", "unwrapped"]

ENVELOPES_MAX = 3
_SNS_LINK = re.compile(r"https://sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/\S{1,1500}")
_PLAIN = b"Successfully validated SNS topic"
"""SES says so, in plain text, when an event destination was set up."""
_SUBSCRIBED = "AmazonSnsSubscriptionSucceeded"


class Notice(msgspec.Struct, frozen=True):
    """A message of SNS's, EventBridge's or SES's own that tells of no mail."""

    why: str
    say: str = ""
    """What an operator is to do; empty: nothing."""


def unwrapped(body: bytes) -> dict[str, Any] | Notice:
    """The event inside its envelopes; raises `BadRecord` (``bad-event``) for what is neither event nor notice."""
    value: Any = body
    for _ in range(ENVELOPES_MAX):
        if isinstance(value, str | bytes):
            raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
            if raw.startswith(_PLAIN):
                return Notice("SNS's word that its topic is valid")
            value = _decoded(raw)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]  # EventBridge Pipes hands over arrays
        if not isinstance(value, dict):
            raise bad_event("it is not a JSON object")
        if "mail" in value:
            return value
        if isinstance(value.get("Message"), str) and value.get("Type") == "Notification":
            value = value["Message"]
        elif isinstance(value.get("detail"), dict):
            if (notice := _of_eventbridge(value)) is not None:
                return notice
            value = value["detail"]
        elif (notice := _of_sns(value)) is not None:
            return notice
        else:
            raise bad_event("it has no `mail`")
    raise bad_event("too many envelopes")


def _decoded(raw: bytes) -> Any:
    # What can be read so deep cannot always be written again, for the topic.
    if depth_above(raw, DEPTH_MAX):
        raise bad_event(f"it is nested deeper than {DEPTH_MAX} levels")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise bad_event(f"it is not JSON: {error}") from None


def _of_eventbridge(event: dict[str, Any]) -> Notice | None:
    """SES's other events on the bus: advisor recommendations, sending switched on or off."""
    if event.get("source") != "aws.ses" or "mail" in event["detail"]:
        return None
    what = shortened(str(event.get("detail-type") or "no type"), 100)
    return Notice(f"an event of SES's that tells of no mail ({what})", f"SES says by EventBridge: {what}")


def _of_sns(event: dict[str, Any]) -> Notice | None:
    if event.get("notificationType") == _SUBSCRIBED:
        return Notice("SES's word that a topic is subscribed")
    kind = event.get("Type")
    if kind == "UnsubscribeConfirmation":
        return Notice("a notice of SNS", "the queue's subscription to an SNS topic has ended")
    if kind != "SubscriptionConfirmation":
        return None
    link, topic = str(event.get("SubscribeURL") or ""), shortened(str(event.get("TopicArn") or "unnamed"), 200)
    if _SNS_LINK.fullmatch(link) is None:
        return Notice("a notice of SNS", f"topic {topic} asks to be subscribed, by a link that is not SNS's: not shown")
    return Notice("a notice of SNS", f"topic {topic} sends nothing until somebody opens {link}")


def bad_event(why: str) -> BadRecord:
    return BadRecord("bad-event", f"not an event of SES's: {why}")
