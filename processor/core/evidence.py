"""SES's events as values: what a message of the queue says, whichever envelope it came in, and what follows.

Shapes: the SES developer guide, "Contents of event data that Amazon SES publishes", wrapped by SNS, delivered raw, or
as an EventBridge event. Tag values are lists. Events come at least once, late, out of order, and before our own record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto

from processor.core.arrivals import NOTHING_SAID, Said, canonical, kept, said, written_to
from processor.core.envelopes import Notice, bad_event, unwrapped
from processor.core.standing import attempts_in
from processor.core.states import Claim, State
from schemas.control import Installation
from schemas.identity import NO_PLACE, TAG_INSTALLATION, Key, Place, read_place, read_tags
from schemas.limits import shortened
from schemas.records import Feedback

__all__ = [
    "Foreign",
    "Meaning",
    "Owner",
    "SesEvent",
    "drop_is_news",
    "first_values",
    "is_early",
    "owner",
    "proof_is_news",
    "read_event",
    "tell_of_mail",
]

UNTAGGED = (
    "events without tags arrive: is the configuration set used? They are notifications of an identity, which prove "
    "nothing and suppress nobody (MAILONCE_CONFIGURATION_SET, and its event destination to this queue)"
)
EVENT_BYTES_MAX = 900_000
"""SQS takes a little more than the topic of events does."""
MESSAGE_ID_CHARS_MAX = 200
FEEDBACK_CHARS_MAX = 500
EARLY_MS = 30_000
_ACCEPTED = {"Send", "Delivery", "Bounce", "Complaint", "Open", "Click", "DeliveryDelay", "Subscription"}
_BY_READERS = {"Open", "Click", "Subscription"}
_DROPPED = {"Rendering Failure": "rendering-failure", "Reject": "rejected-by-ses"}


class Meaning(Enum):
    """What an event proves of the attempt that it names."""

    ACCEPTED = auto()
    """SES took the message and tries to deliver it."""
    DROPPED = auto()
    """SES took it and threw it away: nobody gets this mail."""


class Owner(Enum):
    """Whose mail an event tells of."""

    OURS = auto()
    OURS_IF_INTENDED = auto()
    """It proves something only of an attempt that this ledger knows."""
    ANOTHERS = auto()


@dataclass(frozen=True, slots=True)
class SesEvent:
    """An event of one of our mails."""

    kind: str
    key: Key
    attempt: str
    message_id: str
    sent_at_ms: int
    """When SES took the message; 0 when the event does not tell."""
    body: bytes
    """What ``email-events`` keeps of it, as JSON."""
    place: Place = NO_PLACE
    recipients: tuple[str, ...] = ()
    """To whom it was written, lower case."""
    said: Said = NOTHING_SAID
    installation: str = ""
    """Whose mail the message's tags say that it is; empty: they do not say."""

    @property
    def meaning(self) -> Meaning:
        return Meaning.DROPPED if self.kind in _DROPPED else Meaning.ACCEPTED

    @property
    def feedback(self) -> Feedback | None:
        """What the receiving side said for good."""
        return self.said.feedback

    @property
    def detail(self) -> str:
        return shortened(self.said.words, FEEDBACK_CHARS_MAX)

    @property
    def is_kept(self) -> bool:
        """Whether `email-events` keeps it: a reader may open a mail any number of times."""
        return self.kind not in _BY_READERS

    @property
    def reason(self) -> str:
        """The dead letter's stable code, of an event that causes one."""
        return _DROPPED.get(self.kind) or (str(self.feedback) if self.feedback else "")

    @property
    def note(self) -> tuple[str, str]:
        """What is remembered, by month, of what counts once: a mail's acceptance, its bounce, its being dropped."""
        what = self.kind if self.reason else "accepted"
        return self.key.month, f"{what}:{self.message_id}"


@dataclass(frozen=True, slots=True)
class Foreign:
    """An event of other mail in the account, or a notice of SNS itself."""

    why: str
    tagged: bool = True
    """False: an event of a message that does not carry mailonce's tags"""
    say: str = ""
    """What an operator is to be told; empty: nothing"""


def owner(event: SesEvent, ours: Installation) -> Owner:
    """Whose mail an event tells of, as far as its tags say.

    What an adopted installation sent may be ours, and what carries no such tag may be of 0.1: the ledger knows.
    """
    if event.installation == ours.id:
        return Owner.OURS
    return Owner.OURS_IF_INTENDED if event.installation in {"", *ours.adopted} else Owner.ANOTHERS


def proof_is_news(event: SesEvent, before: Claim) -> bool:
    """Whether the ledger must be told of an acceptance, given what the dedup set said before.

    What the ledger holds already needs no telling. A call that still runs does: its processor may die and Redis be lost
    before anybody else has told, and the event will not come again.
    """
    match before.state:
        case State.SENT_RECORDED:
            return False
        case State.DROPPED:
            return before.attempt != event.attempt
        case State.SENT:
            # Marked, but perhaps by an evidence process that died before its commit.
            return before.message_id == event.message_id
        case _:
            return True


def is_early(event: SesEvent, before: Claim, now_ms: int) -> bool:
    """Whether a bounce or complaint came before our own record of the mail, which would then overwrite what it noted.

    It is left in the queue and comes again; after half a minute nobody's record is awaited any more.
    """
    unrecorded = before.state in {State.SENDING, State.SENT}
    return event.feedback is not None and unrecorded and now_ms - event.sent_at_ms < EARLY_MS


def drop_is_news(event: SesEvent, before: Claim) -> bool:
    """Whether the key's outcome becomes dead because SES dropped the message, given what the set said before.

    Mirrors ``drop.lua``: word about one attempt changes nothing of another's.
    """
    match before.state:
        case State.SENT:
            return before.message_id == event.message_id
        case State.ABSENT | State.CLOSED:
            return True
        case _:
            # Of several open intents one was called for, and this word tells which.
            return not before.attempt or event.attempt in attempts_in(before.attempt)


def read_event(body: bytes) -> SesEvent | Foreign:
    """What a queue message says; raises `BadRecord` (``bad-event``) when it is no event at all."""
    if len(body) > EVENT_BYTES_MAX:
        raise bad_event(f"it has {len(body)} bytes, more than {EVENT_BYTES_MAX}")
    event = unwrapped(body)
    if isinstance(event, Notice):
        return Foreign(event.why, say=event.say)
    mail, named = event["mail"], event.get("eventType") or event.get("notificationType")
    if not isinstance(mail, dict) or not isinstance(named, str):
        raise bad_event("`mail` or `eventType` is of the wrong type")
    kind = canonical(named)
    if kind not in _ACCEPTED | _DROPPED.keys():
        return Foreign(f"events of the kind {kind[:40]!r} mean nothing here")
    message_id = mail.get("messageId")
    if not isinstance(message_id, str) or not 1 <= len(message_id) <= MESSAGE_ID_CHARS_MAX:
        raise bad_event("`mail.messageId` is missing, or is no id")
    what, timestamp = said(kind, event), str(mail.get("timestamp", ""))
    tags = first_values(mail.get("tags"))
    told = tell_of_mail(kind, tags, message_id, timestamp, kept(kind, message_id, timestamp, what))
    if isinstance(told, Foreign):
        return replace(told, say=UNTAGGED) if "notificationType" in event else told
    return replace(told, said=what, recipients=written_to(mail, kind, event) if what.feedback else ())


def tell_of_mail(kind: str, tags: dict[str, str], message_id: str, timestamp: str, body: bytes) -> SesEvent | Foreign:
    """An event of the mail that `tags` name."""
    found = read_tags(tags)
    if found is None:
        return Foreign("the message does not carry our tags", tagged=False)
    whose = tags.get(TAG_INSTALLATION, "")
    return SesEvent(kind, *found, message_id, _ms(timestamp), body, read_place(tags), installation=whose)


def first_values(tags: object) -> dict[str, str]:
    """Tag values are lists of one."""
    if not isinstance(tags, dict):
        return {}
    found = {name: values[0] if isinstance(values, list) and values else values for name, values in tags.items()}
    return {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, str)}


def _ms(timestamp: str) -> int:
    try:
        return int(datetime.fromisoformat(timestamp).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return 0
