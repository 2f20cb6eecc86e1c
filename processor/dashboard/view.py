"""One mail as the pages show it, folded from five topics. Pure: a record in, a view out.

Faust may give a record again after a restart, and gives topics in no order among each other; so a view remembers how
far it has come in each topic, and a record it has seen changes nothing.
"""

from __future__ import annotations

import hashlib

import msgspec

from processor.core.arrivals import NOTHING_SAID, Said, further, read_told
from processor.core.outcomes import Mail, with_arrival, with_delivery, with_job
from processor.core.ticket import WRONG_PARTITION
from schemas.addresses import mask
from schemas.codec import decode_attempt, decode_dead_letter, decode_delivery, decode_job, decode_requeue, moved_from
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.limits import shortened
from schemas.records import Outcome
from schemas.runtime.errors import BadRecord

__all__ = ["ENTRIES_MAX", "Entry", "View", "apply", "hash_of", "pack", "unpack"]

HEARD_MAX = 4
"""messages of one mail, of which a resend makes another"""
ENTRIES_MAX = 60
"""The timeline keeps this many; the topics keep all."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A line of the timeline."""

    at_ms: int
    kind: str
    """``job``, ``intent``, ``outcome``, ``dead letter`` or ``event``"""
    what: str
    detail: str = ""
    by: str = ""
    place: str = ""


class View(msgspec.Struct, frozen=True, omit_defaults=True):
    """A mail as far as its records have come."""

    mail: Mail = Mail()
    address: str = ""
    """masked"""
    address_hash: str = ""
    template: str = ""
    entries: list[Entry] = []
    seen: dict[str, tuple[int, int]] = {}
    """topic: partition and offset of its last record; of further partitions by topic and number"""
    accepted: list[str] = []
    """message ids of SES's Send events"""
    heard: dict[str, Said] = {}
    """message id: the furthest that SES's events say it came; they may come before the ledger's entry"""
    resends: int = 0
    """attempts that a person or policy allowed beside an earlier one"""
    instance: str = ""
    """the processor that wrote last"""

    @property
    def duplicates(self) -> int:
        """Acceptances that nobody allowed: two Send events for one key."""
        return max(0, len(self.accepted) - 1 - self.resends)

    @property
    def sent_at_ms(self) -> int | None:
        return self.mail.at_ms if self.mail.outcome is Outcome.SENT else None


_view = msgspec.json.Decoder(View)
_encoder = msgspec.json.Encoder()


def pack(view: View) -> bytes:
    return _encoder.encode(view)


def unpack(raw: bytes | None) -> View | None:
    return None if raw is None else _view.decode(raw)


def hash_of(address: str) -> str:
    """By which an address is found without being kept."""
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()[:20]


def apply(view: View | None, kind: str, record: Record, *, misplaced: bool = False) -> View | None:
    """The view after one more record of the topic `kind` (its name without the prefix); ``None`` when it is no mail's.

    What cannot be read is shown as such and breaks nothing; a job that stands where its key does not belong
    (`misplaced`) is shown, and says nothing of the mail.
    """
    try:
        Key.from_bytes(record.key)
    except BadRecord:
        return view
    view = view or View()
    first, _ = view.seen.get(kind, (record.partition, -1))
    where = kind if first == record.partition else f"{kind}:{record.partition}"
    if where in view.seen and record.offset <= view.seen[where][1]:
        return view
    view = msgspec.structs.replace(view, seen={**view.seen, where: (record.partition, record.offset)})
    if record.value is None and kind in {"attempts", "deliveries"}:
        # The person is to be forgotten.
        return View(seen=view.seen)
    if misplaced:
        return _with(view, Entry(record.timestamp_ms, kind, WRONG_PARTITION, place=_place(record)))
    try:
        return _STEPS[kind](view, record)
    except (BadRecord, msgspec.DecodeError) as bad:
        return _with(view, Entry(record.timestamp_ms, kind, "unreadable", str(bad), place=_place(record)))


def _job(view: View, record: Record) -> View:
    mail = with_job(view.mail, record)
    view = msgspec.structs.replace(view, mail=mail or view.mail)
    if record.value is None:
        bare = msgspec.structs.replace(view, address="", address_hash="")
        return _with(bare, Entry(record.timestamp_ms, "job", "cancelled", place=_place(record)))
    try:
        job = decode_job(record.key, record.value)
    except BadRecord as bad:
        return _with(view, Entry(record.timestamp_ms, "job", "unreadable", bad.detail, place=_place(record)))
    back = decode_requeue(record.headers)
    what = "requeued" if back else "published"
    detail = back.why if back else (f"row {job.provenance.row} of {job.provenance.source}" if job.provenance else "")
    entry = Entry(record.timestamp_ms, "job", what, detail, back.who if back else "", _place(record))
    own = {"address": mask(job.email), "address_hash": hash_of(job.email), "template": job.template}
    return _with(msgspec.structs.replace(view, **own), entry)


def _attempt(view: View, record: Record) -> View:
    attempt = decode_attempt(record.value or b"")
    resend = attempt.resend
    what = "withdrawn" if attempt.withdrawn else ("intended again" if resend else "intended")
    entry = Entry(attempt.intended_at_ms, "intent", what, resend.why if resend else "", resend.who if resend else "")
    allowed = resend is not None and not attempt.withdrawn
    view = msgspec.structs.replace(view, resends=view.resends + allowed, instance=attempt.instance)
    return _with(view, entry)


def _delivery(view: View, record: Record) -> View:
    delivery = decode_delivery(record.value or b"")
    told = [delivery.reason or "", delivery.detail or "", delivery.feedback.value if delivery.feedback else ""]
    entry = Entry(
        delivery.at_ms,
        "outcome",
        delivery.outcome.value,
        ": ".join(filter(None, told)),
        delivery.by or delivery.instance,
    )
    mail = with_delivery(view.mail, delivery, record.partition)
    if (said := view.heard.get(delivery.message_id or "")) is not None:
        mail = with_arrival(mail, delivery.message_id or "", said) or mail
    return _with(msgspec.structs.replace(view, mail=mail, instance=delivery.instance), entry)


def _dead_letter(view: View, record: Record) -> View:
    letter = decode_dead_letter(record.headers)
    if before := moved_from(record.headers):
        others = [entry for entry in view.entries if (entry.kind, entry.place) != ("dead letter", before)]
        view = msgspec.structs.replace(view, entries=others)
    return _with(view, Entry(letter.at_ms, "dead letter", letter.reason, letter.detail, place=_place(record)))


def _event(view: View, record: Record) -> View:
    told = read_told(record.value)
    if told is None:
        raise BadRecord("bad-event", "not an event of SES's")
    kind, message_id, said = told.kind, told.message_id, told.said
    if kind == "Send" and message_id and message_id not in view.accepted:
        view = msgspec.structs.replace(view, accepted=[*view.accepted, message_id])
    before = view.heard.get(message_id, NOTHING_SAID)
    if said.arrival is not None and further(before.arrival, said.arrival) is said.arrival:
        heard = dict([*view.heard.items(), (message_id, said)][-HEARD_MAX:])
        view = msgspec.structs.replace(view, heard=heard, mail=with_arrival(view.mail, message_id, said) or view.mail)
    what = f"{kind}: {said.words}" if said.words else kind
    return _with(view, Entry(record.timestamp_ms, "event", what, message_id))


_STEPS = {
    "jobs": _job,
    "attempts": _attempt,
    "deliveries": _delivery,
    "dead-letters": _dead_letter,
    "events": _event,
}


def _with(view: View, entry: Entry) -> View:
    # A record's words may be of any length, and the view is a record of Faust's own, which must fit as well.
    what, detail, by = (shortened(text) for text in (entry.what, entry.detail, entry.by))
    entry = msgspec.structs.replace(entry, what=what, detail=detail, by=by)
    return msgspec.structs.replace(view, entries=[*view.entries, entry][-ENTRIES_MAX:])


def _place(record: Record) -> str:
    return f"{record.partition}:{record.offset}"
