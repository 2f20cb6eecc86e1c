"""How far a mail came that SES took: what its events say, as small values that come late, doubled and in any order.

Of a message's events the one that says most stands, whichever came first: a bounce after a delivery is the outcome, a
delay after it is old news.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from schemas.addresses import ADDRESS_CHARS_MAX, bare_address, mask
from schemas.limits import shortened
from schemas.records import Arrival, Feedback

__all__ = ["NOTHING_SAID", "Said", "Told", "canonical", "further", "kept", "read_told", "said", "written_to"]

WORDS_CHARS_MAX = 300
_ADDRESS = re.compile(r"[^\s<>()\[\],;:@]{1,64}@[^\s<>()\[\],;:@]{1,255}")
_RANK = {arrival: rank for rank, arrival in enumerate(Arrival)}
_ABOUT = {
    "Delivery": "delivery",
    "DeliveryDelay": "deliveryDelay",
    "Bounce": "bounce",
    "Complaint": "complaint",
    "Reject": "reject",
    "Rendering Failure": "failure",
}
_KINDS = {kind.replace(" ", "").lower(): kind for kind in (*_ABOUT, "Send", "Open", "Click", "Subscription")}
_NO_COMPLAINTS = {"not-spam", "auth-failure"}
"""Types of feedback (RFC 5965, RFC 6430) by which nobody wants less mail."""


class Said(NamedTuple):
    """What an event says of its message's way."""

    arrival: Arrival | None = None
    detail: str = ""
    """SES's type and subtype, or its reason"""
    smtp: str = ""
    """what the receiving server answered"""

    @property
    def feedback(self) -> Feedback | None:
        """What holds for later mail to the address as well."""
        match self.arrival:
            case Arrival.HARD_BOUNCED:
                return Feedback.BOUNCED
            case Arrival.COMPLAINED:
                return Feedback.COMPLAINED
            case _:
                return None

    @property
    def words(self) -> str:
        return ": ".join(filter(None, (self.detail, self.smtp)))


NOTHING_SAID = Said()


class Told(NamedTuple):
    """A record of ``email-events``: which message came how far."""

    message_id: str
    kind: str
    said: Said


def canonical(kind: str) -> str:
    """SES's name of an event's kind, whatever its case (``RENDERING_FAILURE``); unknown ones as they are."""
    return _KINDS.get(kind.replace(" ", "").replace("_", "").lower(), kind)


def further(before: Arrival | None, told: Arrival | None) -> Arrival | None:
    """Which of two stands."""
    if before is None or told is None:
        return before or told
    return max(before, told, key=_RANK.__getitem__)


def said(kind: str, event: dict[str, Any]) -> Said:
    """What an event of this kind says; nothing where it does not say it in SES's form."""
    about = event.get(_ABOUT.get(kind, ""))
    if not isinstance(about, dict):
        return NOTHING_SAID
    match kind:
        case "Delivery":
            return Said(Arrival.DELIVERED, "", _text(about.get("smtpResponse")))
        case "DeliveryDelay":
            return Said(Arrival.DELAYED, _text(about.get("delayType")), _diagnosis(about.get("delayedRecipients")))
        case "Bounce":
            lasting = about.get("bounceType") == "Permanent"
            detail = f"{_text(about.get('bounceType'))}/{_text(about.get('bounceSubType'))}"
            arrival = Arrival.HARD_BOUNCED if lasting else Arrival.SOFT_BOUNCED
            return Said(arrival, detail, _diagnosis(about.get("bouncedRecipients")))
        case "Complaint":
            what = _text(about.get("complaintFeedbackType"))
            arrival_of = None if what in _NO_COMPLAINTS else Arrival.COMPLAINED
            return Said(arrival_of, what or _text(about.get("complaintSubType")) or "no type given")
        case "Reject":
            return Said(Arrival.REJECTED, _text(about.get("reason")))
        case _:
            return Said(Arrival.RENDERING_FAILED, _text(about.get("errorMessage")))


def written_to(mail: dict[str, Any], kind: str, event: dict[str, Any]) -> tuple[str, ...]:
    """The address that a message was written to, lower case: what a bounce or complaint holds of.

    SES's `destination` says so. Those that the receiving side names may be a forwarded address, written in any way, or
    nobody; they count where a message went to several, for then they say which of these it is about.
    """
    wrote = _addresses(mail.get("destination"))
    if len(wrote) <= 1:
        return wrote
    about = event.get(_ABOUT.get(kind, ""))
    named = about if isinstance(about, dict) else {}
    entries = _list(named.get("bouncedRecipients") or named.get("complainedRecipients"))
    meant = set(_addresses([entry.get("emailAddress") for entry in entries if isinstance(entry, dict)]))
    return tuple(address for address in wrote if address in meant)


def kept(kind: str, message_id: str, timestamp: str, what: Said) -> bytes:
    """The small record of an event that ``email-events`` keeps, in SES's own form: no header, no address, no tag."""
    record: dict[str, Any] = {"eventType": kind, "mail": {"messageId": message_id, "timestamp": timestamp[:40]}}
    detail, smtp = what.detail, what.smtp
    kind_of, _, subtype = detail.partition("/")
    diagnosis = [{"diagnosticCode": smtp}] if smtp else []
    about: dict[str, dict[str, Any]] = {
        "Delivery": {"smtpResponse": smtp},
        "DeliveryDelay": {"delayType": detail, "delayedRecipients": diagnosis},
        "Bounce": {"bounceType": kind_of, "bounceSubType": subtype, "bouncedRecipients": diagnosis},
        "Complaint": {"complaintFeedbackType": detail},
        "Reject": {"reason": detail},
        "Rendering Failure": {"errorMessage": detail},
    }
    if kind in about and what != NOTHING_SAID:
        record[_ABOUT[kind]] = about[kind]
    return msgspec.json.encode(record)


def read_told(value: bytes | None) -> Told | None:
    """A record of ``email-events``, as it is written now or was by 0.1; ``None`` for what is neither."""
    try:
        event = msgspec.json.decode(value or b"")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    mail = event.get("mail") if isinstance(event, dict) else None
    if not isinstance(mail, dict) or not isinstance(mail.get("messageId"), str):
        return None
    kind = canonical(str(event.get("eventType") or event.get("notificationType")))
    return Told(mail["messageId"], kind, said(kind, event))


def _diagnosis(recipients: object) -> str:
    """What the receiving server said of the first recipient of whom it said something."""
    for entry in _list(recipients):
        if isinstance(entry, dict) and (text := _text(entry.get("diagnosticCode")) or _text(entry.get("status"))):
            return text
    return ""


def _addresses(found: object) -> tuple[str, ...]:
    bare = (bare_address(t).rpartition(";")[2].strip().lower() for t in _list(found) if isinstance(t, str))
    return tuple(dict.fromkeys(address for address in bare if 0 < len(address) <= ADDRESS_CHARS_MAX))


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _text(value: object) -> str:
    """Somebody's words, of a length, with addresses masked: servers repeat whom they refuse."""
    return _ADDRESS.sub(lambda m: mask(m.group()), shortened(value, WORDS_CHARS_MAX)) if isinstance(value, str) else ""
