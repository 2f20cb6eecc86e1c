"""The records of the control topic (``email-control``): who takes part, and what all of them must agree on.

One partition, compacted. A record's key says what it is: ``process:ID``, ``lineage:ID``, ``month:YYYY-MM``,
``installation``, ``floor``, ``brake``, ``canary:YYYY-MM``. Readers pass over kinds that they do not know, and over
``clock``: whoever writes that asks Kafka for the time.
"""

from __future__ import annotations

import secrets
from enum import StrEnum

import msgspec

from schemas.partitions import partition_of
from schemas.runtime.errors import BadRecord

__all__ = [
    "CURRENT_S",
    "Brake",
    "Canary",
    "CanaryState",
    "Content",
    "ControlRecord",
    "Figures",
    "Floor",
    "Heartbeat",
    "Installation",
    "Lineage",
    "MonthOpened",
    "control_key",
    "decode_control",
    "new_control_id",
]

CURRENT_S = 10.0
"""How long a process may call SES on the strength of one heartbeat, counted from its writing, in seconds."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A process that may call SES says that it lives (key ``process:ID``); its tombstone says that it has ended."""

    v: int = 1
    process: str
    """a random id of this run of the process"""
    beat: int
    """Counts the process's heartbeats from 1."""
    instance: str = ""
    transactional_id: str = ""
    """under which a hanging transaction of it can be ended"""
    knows: str = ""
    """the newest lineage that it has read: from here on it calls under no older one"""
    lineage: str = ""
    """the lineage under which its server answered at this beat, or which it is rebuilding"""
    server: str = ""
    """the run id of that server"""
    granted: int = 0
    """how many grants of the newest lineage it knows of: a set that knows of fewer is an older one"""
    read: dict[int, int] = {}
    """partition of the jobs topic: up to where it knows every record"""
    position: int = 0
    """how far it has read the control topic"""
    topic_id: str = ""
    """of the control topic, where a broker tells it"""
    current_s: float = CURRENT_S
    """how long after the writing of this it may count itself current"""
    at_ms: int = 0


class Installation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who this mailonce is (key ``installation``): made once, and adopted anew on purpose."""

    v: int = 1
    id: str
    cluster: str = ""
    topics: dict[str, str] = {}
    """name: the topic's id, where a broker tells it"""
    adopted: list[str] = []
    """Installations whose dedup set or records were taken over on purpose, oldest first."""
    at_ms: int = 0
    who: str = ""


class Lineage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A life of the dedup set (key ``lineage:ID``): the newest is the one that claims are granted under."""

    v: int = 1
    id: str
    server: str = ""
    """the run id of the server that it was begun on"""
    instance: str = ""
    at_ms: int = 0


class Figures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a month held when its producer ended; the next month's producer compares with it."""

    jobs: int
    """users with a job that is not cancelled"""
    id_forms: list[str] = []
    """how their ids are written, ``a-9`` for u-1042; empty: in too many ways to say"""


class MonthOpened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A month was begun (key ``month:YYYY-MM``): the first record of a month stands, but for its figures."""

    v: int = 1
    month: str
    partitions: int
    """over how many partitions its keys are spread"""
    begins: dict[str, list[int]] = {}
    """topic: the offset by partition, taken before the month's first job was written"""
    topics: dict[str, str] = {}
    """topic: its id then, where a broker tells it: in another topic of the name `begins` says nothing"""
    jobs_id: str = ""
    """id of the jobs topic: in another one `partitions` says nothing"""
    at_ms: int = 0
    figures: Figures | None = None
    """written anew whenever a producer of the month has ended; all the rest is the first record's"""

    def partition_of(self, key: bytes) -> int:
        """Where each record of a key of this month belongs."""
        return partition_of(key, self.partitions)

    def starts(self, topic: str) -> dict[int, int]:
        """Where a reader of the month starts; a partition that is left out was added since: at its beginning."""
        return dict(enumerate(self.begins.get(topic, ())))


class Floor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Months before this one are closed for good (key ``floor``)."""

    v: int = 1
    month: str
    at_ms: int = 0
    who: str = ""


class Brake(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What operators have set while a month runs (key ``brake``)."""

    v: int = 1
    paused: dict[str, str] = {}
    """month, or ``*`` for all: why"""
    rate_max: float = 0.0
    """mails a second; 0: no ceiling but the settings'"""
    at_ms: int = 0
    who: str = ""


class CanaryState(StrEnum):
    """How far a month's canary has come."""

    WAITING = "waiting"
    """Its first mails were attempted; the rest waits for what SES's events say of them."""
    PASSED = "passed"
    FAILED = "failed"


class Canary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a month's first mails (key ``canary:YYYY-MM``): all processors wait for it, and remember it."""

    v: int = 1
    month: str
    state: CanaryState
    count: int = 0
    """mails that were to go first"""
    since_ms: int = 0
    """when the rest began to wait"""
    why: str = ""
    at_ms: int = 0
    who: str = ""


Content = Heartbeat | Installation | Lineage | MonthOpened | Floor | Brake | Canary

_KINDS: dict[str, type[Content]] = {
    "process": Heartbeat,
    "installation": Installation,
    "lineage": Lineage,
    "month": MonthOpened,
    "floor": Floor,
    "brake": Brake,
    "canary": Canary,
}
_DECODERS = {kind: msgspec.json.Decoder(struct) for kind, struct in _KINDS.items()}
VERSION = 1


class ControlRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as it was read."""

    offset: int
    kind: str
    name: str
    """what follows the kind in the key; empty for those of which there is one"""
    content: Content | None
    """``None``: a tombstone"""


def control_key(content: Content) -> bytes:
    """The key under which it stands."""
    match content:
        case Heartbeat():
            return f"process:{content.process}".encode()
        case Lineage():
            return f"lineage:{content.id}".encode()
        case MonthOpened():
            return f"month:{content.month}".encode()
        case Canary():
            return f"canary:{content.month}".encode()
    return next(kind for kind, struct in _KINDS.items() if isinstance(content, struct)).encode()


def decode_control(offset: int, key: bytes | None, value: bytes | None) -> ControlRecord | None:
    """A record of the topic; ``None`` for a kind that is not known here. Raises `BadRecord`."""
    kind, _, name = (key or b"").decode(errors="replace").partition(":")
    if kind not in _DECODERS:
        return None
    if value is None:
        return ControlRecord(offset, kind, name, None)
    try:
        content = _DECODERS[kind].decode(value)
    except msgspec.MsgspecError as error:
        raise BadRecord("bad-control", f"control record {kind}:{name} at {offset} cannot be read: {error}") from None
    if content.v > VERSION:
        raise BadRecord("version", f"control record {kind} at {offset} has version {content.v}: upgrade mailonce")
    return ControlRecord(offset, kind, name, content)


def new_control_id() -> str:
    """A random id: what a lost control topic held must not come to life again under the same one."""
    return secrets.token_hex(8)
