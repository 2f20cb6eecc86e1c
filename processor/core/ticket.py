"""A record of the jobs topic on its way to an outcome, in values that never change.

ticket
    What came from the record: what it is, and whether it may be called for at all.
attempt
    A ticket under an attempt's id, with what befell it so far; whatever befalls it next makes another value.
finished
    An attempt with its outcome. The other ends of a call lead to another call, or to none.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import msgspec

from processor.core.answers import RetryClass
from processor.core.control import NO_TENURE, Tenure
from processor.core.decide import Settle, Skip
from processor.core.offsets import Window
from schemas.codec import decode_job, decode_resend, fingerprint
from schemas.identity import Key, Place
from schemas.kafka.reading import Record
from schemas.records import Job, Outcome, Resend
from schemas.runtime.errors import BadRecord, Halted

__all__ = [
    "WRONG_PARTITION",
    "Attempt",
    "End",
    "Finished",
    "GivenBack",
    "PutOff",
    "Stays",
    "Ticket",
    "examine",
    "misplaced",
    "refused",
]


WRONG_PARTITION = "wrong-partition"
"""The reason of a job that stands in a partition where its key does not belong."""


class Ticket(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What came from a record. `window` says which assignment of its partition it belongs to."""

    record: Record
    window: Window
    key: Key | None = None
    job: Job | None = None
    fingerprint: str = ""
    refusal: Settle | None = None
    """Set when the record must not reach SES."""
    resend: Resend | None = None
    """Leave to call again although an earlier attempt is in doubt, or was dropped by SES."""
    lacks: str = ""
    """Says that its template is not there. Others' answers tell whether that is its own fault; no call is made."""
    unchecked: bool = False
    """Whether SES could not be asked for what its template needs: that is asked again before its call."""
    past: bool = False
    """Whether its month is closed for good, or it counts no more by its age: it is never called for, and the ledger
    says whether it has its outcome."""

    @property
    def place(self) -> Place:
        return Place(self.record.partition, self.record.offset, self.fingerprint)

    @property
    def is_tombstone(self) -> bool:
        return self.record.value is None

    @property
    def needs_call(self) -> bool:
        """Whether its outcome takes a call to SES; a tombstone and a refused record are settled without one."""
        return self.refusal is None and self.record.value is not None

    def refused(self, bad: BadRecord) -> Ticket:
        """The same record, which must not reach SES."""
        return msgspec.structs.replace(self, refusal=refused(bad))

    def lacking(self, what: str) -> Ticket:
        """The same record, whose template is not there."""
        return msgspec.structs.replace(self, lacks=what)

    def without_check(self) -> Ticket:
        """The same record; nobody knows yet what its template needs."""
        return msgspec.structs.replace(self, unchecked=True)

    def below(self, floor: str) -> Ticket:
        """The same record, now that its month is closed for good."""
        return msgspec.structs.replace(self, refusal=refused(_too_old(floor)), past=True)

    def over(self) -> Ticket:
        """The same record, older than the jobs topic keeps its records: that Kafka has left it is chance."""
        why = BadRecord("too-old", "record: it is older than the jobs topic keeps its records")
        return msgspec.structs.replace(self, refusal=refused(why), past=True)


class Attempt(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A ticket that may be called for under `id`, or be settled without a call (then it has no id)."""

    ticket: Ticket
    id: str = ""
    tries: Mapping[RetryClass, int] = {}
    """Calls that were refused for now."""
    tenure: Tenure = NO_TENURE
    """Under what it was intended: no call is made under another."""
    waited: bool = False
    """Whether it was said that this one waits for another attempt."""
    suspect: int = -1
    """Of one that was refused for what may be everybody's: mails accepted until then (`processor.core.suspects`)."""
    signed_anew: bool = False
    """Whether SES refused its signature for its time."""
    due_s: float = 0.0
    """Of one whose intent was taken back while it was put off: when it may be attempted again, boot clock."""
    bar: str = ""
    """Under which its key is barred to others, of one that is settled without a call."""

    @property
    def holder(self) -> str:
        """The name under which it holds its key."""
        return self.id or self.bar

    def refused_for_now(self, retry: RetryClass) -> Attempt:
        return msgspec.structs.replace(self, tries={**self.tries, retry: self.tries.get(retry, 0) + 1})

    def suspected(self, accepted: int) -> Attempt:
        """It was refused for what may be everybody's, when so many mails had been accepted; the first time counts."""
        return self if self.suspect >= 0 else msgspec.structs.replace(self, suspect=accepted)

    def signing_anew(self) -> Attempt:
        """SES refused its signature for its time; the next one is fresh."""
        return msgspec.structs.replace(self, signed_anew=True)

    def again(self, due_s: float = 0.0) -> Attempt:
        """Its ticket, to be intended anew, and what befell it so far."""
        return msgspec.structs.replace(self, id="", due_s=due_s)

    def barring(self, bar: str) -> Attempt:
        """It bars its key to others under this name, until its outcome has committed."""
        return msgspec.structs.replace(self, bar=bar)

    def waiting(self) -> Attempt:
        """It waits for another attempt, and that was said."""
        return msgspec.structs.replace(self, waited=True)


class Finished(msgspec.Struct, frozen=True, eq=False, gc=False):
    """An attempt and its outcome, which the ledger is to hold."""

    attempt: Attempt
    result: Settle | Skip

    @property
    def passed_over(self) -> bool:
        """Whether the attempt had an intent, and its outcome says nothing of it: it was never called for, or certainly
        not sent."""
        named = self.result.attempt if isinstance(self.result, Settle) else None
        return bool(self.attempt.id) and self.attempt.id != named

    @property
    def not_sent(self) -> bool:
        """Whether SES certainly did not take this attempt's mail."""
        result = self.result
        if isinstance(result, Skip):
            return True
        return result.outcome not in {Outcome.SENT, Outcome.UNCERTAIN} and result.message_id is None

    @property
    def only_told(self) -> bool:
        """Whether a dead letter is all that it leaves: no entry of the ledger says that it was told before."""
        return self.result.report and (self.attempt.ticket.key is None or isinstance(self.result, Skip))


class PutOff(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Refused for now: the key is free, and is called for again after a while."""

    attempt: Attempt
    delay_s: float


class GivenBack(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Not sent, through no fault of the mail: the key is free, and is called for again as soon as anything is."""

    attempt: Attempt
    halted: Halted | None = None
    """Why the processor must leave."""


class Stays(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Nobody can record it now: the claim stays until its lifetime has passed."""


End = Finished | PutOff | GivenBack | Stays
"""How a call ends."""


def misplaced(record: Record, window: Window, partition: int) -> Ticket:
    """A job where its key does not belong: none of the key's records, so it has no key and leaves only a letter."""
    detail = f"the key's records of this month go to partition {partition}, by how the month was opened"
    return Ticket(record, window, refusal=refused(BadRecord(WRONG_PARTITION, detail)))


def examine(record: Record, window: Window, *, floor: str, suppressed: Container[str]) -> Ticket:
    """Reads a record: a job, a tombstone, or one that must not reach SES (`Ticket.refusal` says why).

    Args:
        record: as it was read.
        window: of its partition.
        floor: the first month whose jobs may be attempted, ``YYYY-MM``.
        suppressed: addresses that are not to be written to.
    """
    key, job, content, resend, refusal = None, None, "", None, None
    try:
        key = Key.from_bytes(record.key)
        if record.value is not None:
            job = decode_job(record.key, record.value)
            content = fingerprint(job)
            resend = decode_resend(record.headers)
            if job.month < floor:
                raise _too_old(floor)
            refusal = _suppressed(job, suppressed)
    except BadRecord as bad:
        refusal = refused(bad)
    return Ticket(record, window, key, job, content, refusal, resend, past=key is not None and key.month < floor)


def _too_old(floor: str) -> BadRecord:
    return BadRecord("too-old", f"month: {floor} is the first that may still be mailed")


def _suppressed(job: Job, suppressed: Container[str]) -> Settle | None:
    if job.email.lower() not in suppressed:
        return None
    return Settle(Outcome.SUPPRESSED, reason="suppression-list", detail="the address is on the suppression list")


def refused(bad: BadRecord) -> Settle:
    """What follows for a record that must not reach SES."""
    return Settle(Outcome.DEAD, reason=bad.code, detail=bad.detail, report=True)
