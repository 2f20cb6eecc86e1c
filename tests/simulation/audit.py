"""The promise, looked at after a history: SES's own record and what a read_committed reader sees are all that counts.

Each finding begins with the promise that it breaks, G1 to G6 of the design.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from math import inf

from processor.core.outcomes import Mail
from processor.core.standing import attempts_in
from processor.core.states import ABSENT, State
from schemas.codec import RESEND_HEADER, decode_job, decode_resend
from schemas.identity import Key
from schemas.records import EVIDENCE, Delivery, Outcome
from schemas.runtime.errors import BadRecord
from tests.simulation.control_log import read_control
from tests.simulation.history import Entry
from tests.simulation.seen import Seen, key_of
from tests.simulation.world import World

__all__ = ["Audit"]

GRACE_S = 4.0
"""A newer record is known by then to a processor that reads, unless it stood still."""


class Audit(Seen):
    """Judges a world at the end of its history."""

    def findings(self) -> list[str]:
        mails = self.world.mails()
        found = [*self.told, *self._accepted(), *self._lost(mails), *self._doubts(), *self._latest(), *self._twice()]
        found += [*self._late_calls(), *self._set()]
        found += [f"defect in {text}" for text in self.world.defects]
        return found

    def _accepted(self) -> Iterator[str]:
        world = self.world
        leaves: Counter[bytes] = Counter()
        for record in world.jobs():
            if any(name == RESEND_HEADER for name, _ in record.headers):
                leave = decode_resend(record.headers)
                leaves[record.key or b""] += leave is not None and not leave.who.startswith("policy")
        for key, many in Counter(message.key for message in world.ses.accepted).items():
            if many > 1 + leaves[key.to_bytes()]:
                how = " and ".join(f"{m.attempt} at {m.at_s:.3f}" for m in world.ses.accepted if m.key == key)
                yield f"G1 {key} was accepted {many} times: {how}"
        for at_s, key, attempt, _, who in world.ses.begun:
            intent = self.intents.get(attempt)
            if intent is None or intent[0] > at_s:
                yield f"G4 {who} called for {key} under {attempt} before its intent had committed"

    def _lost(self, mails: dict[bytes, Mail]) -> Iterator[str]:
        """Every job has one visible outcome, the one that SES's record bears out."""
        world = self.world
        letters = {(s.partition, s.offset) for s in (world.letter(record).source for record in world.letters())}
        kept, now_ms = world.kept, world.wall_ms()
        jobs = [job for job in world.jobs() if not kept.letter_is_gone(job.timestamp_ms, now_ms)]
        stands = {(record.partition, record.offset) for record in jobs}
        for published in world.published:
            if key_of(published.key) is None and published.place not in letters and published.place in stands:
                yield f"G2 {published.place[0]}:{published.place[1]} has no readable key and no letter"
        for raw in world.pending():
            yield f"G2 {raw.decode()} has no outcome"
        known = {entry.key for entry in world.published if entry.value is not None}
        for raw, mail in mails.items():
            if (key := key_of(raw)) is None or mail.outcome is None:
                continue
            if self.strict and raw not in known:
                yield f"G2 {key} is told as {mail.outcome.value}, and nobody ever published it"
            source = self.outcomes[raw][-1][2].source
            if mail.outcome is Outcome.DEAD and (source.partition, source.offset) not in letters:
                yield f"G2 {key} is dead without a letter"
            yield from self._borne_out(key, mail)

    def _borne_out(self, key: Key, mail: Mail) -> Iterator[str]:
        accepted = any(message.key == key for message in self.world.ses.accepted)
        dropped = mail.outcome is Outcome.DEAD and mail.message_id is not None
        assert mail.outcome is not None
        match mail.outcome:
            case Outcome.SENT if not accepted:
                yield f"G2 {key} is told as sent, and SES never took it"
            case Outcome.UNCERTAIN if accepted and self.events_come:
                yield f"G4 {key} is still in doubt though SES's event told of its acceptance"
            case Outcome.DEAD | Outcome.CANCELLED | Outcome.SUPPRESSED if accepted and not dropped:
                yield f"G2 {key} was accepted by SES and is told as {mail.outcome.value} ({mail.reason})"

    def _doubts(self) -> Iterator[str]:
        for raw, entries in self.outcomes.items():
            for at_s, instance, delivery in entries:
                if delivery.outcome is not Outcome.UNCERTAIN or raw in self.excused or delivery.reason == "operator":
                    continue
                where = f"{raw.decode()} is in doubt at {at_s:.3f} by {instance}"
                if any(e.attempt == delivery.attempt and e.outcome is Outcome.DEAD for _, _, e in entries):
                    yield f"G4 {where}: its attempt had ended"
                elif not self._of_redis(raw, delivery, at_s):
                    how = " (restored by a late rebuild)" if self._restored_late(raw, at_s) else ""
                    how = how or (" (nobody heard that its claim was granted)" if self._unheard(delivery) else "")
                    yield f"G4 {where}: no call for it was in flight at a fault{how}"

    def _unheard(self, delivery: Delivery) -> bool:
        answers = [e.about[0] for e in self.world.net.history.entries if e.what == "redis.claim unheard"]
        return any(c.attempt == delivery.attempt for answer in answers if isinstance(answer, list) for c in answer)

    def _of_redis(self, raw: bytes, delivery: Delivery, at_s: float) -> bool:
        """Whether a rebuild after a fault of Redis may have found the intent open."""
        named = [self.intents.get(attempt) for attempt in attempts_in(delivery.attempt or "")]
        return self._troubled(raw, at_s) and any(
            intended is not None and intended[0] <= whole_s and at_s >= fault_s
            for fault_s, whole_s in self._unwhole()
            for intended in named
        )

    def _restored_late(self, raw: bytes, until_s: float) -> bool:
        """Whether a rebuild put the key back as claimed into a set that was whole again already."""
        key, whole, gone = Key.from_bytes(raw), False, iter([*self.world.redis_faults_s, inf])
        next_s = next(gone)
        for entry in self.world.net.history.entries:
            if entry.at_s > until_s:
                return False
            if entry.at_s >= next_s:
                whole, next_s = False, next(gone)
            if _made_whole(entry):
                whole = True
            restored = entry.about[0] if entry.what == "redis.restore" and "->" in entry.about and whole else ()
            if any(one.key == key and one.claim.startswith(State.SENDING.value) for one in restored):
                return True
        return False

    def _troubled(self, raw: bytes, until_s: float) -> bool:
        """Whether an intent for the key may have been left open: its process died, stood still or lost the partition, a
        newer record took its place, or another group intended as well."""
        instances = {instance for at_s, instance, key in self.intents.values() if key == raw and at_s <= until_s}
        theirs = [process for process in self.world.processes if process.instance in instances]
        published = sum(entry.key == raw for entry in self.world.published)
        groups = {process.group for process in theirs}
        return published > 1 or len(groups) > 1 or any(process.troubled for process in theirs)

    def _unwhole(self) -> list[tuple[float, float]]:
        """From each fault of Redis until the set was declared whole again: a rebuild restores what was intended then."""
        whole = [e.at_s for e in self.world.net.history.entries if _made_whole(e)]
        return [(fault, min((at for at in whole if at > fault), default=inf)) for fault in self.world.redis_faults_s]

    def _latest(self) -> Iterator[str]:
        """No call begins for a record once a newer one of its key could long be known."""
        world = self.world
        valid = [p for p in world.published if _counts(p.key, p.value) and world.belongs(p)]
        order = {published.place: index for index, published in enumerate(world.published)}
        for at_s, key, attempt, place, who in world.ses.begun:
            mine = order.get((place.partition, place.offset), len(order))
            for newer in valid:
                late = newer.at_s + GRACE_S < at_s and order[newer.place] > mine
                excused = not self.strict and _stood_still(world, who, newer.at_s, at_s)
                if late and newer.key == key.to_bytes() and not excused:
                    yield (
                        f"G5 {who} called for {key} at {place.partition}:{place.offset} ({attempt}) at {at_s:.3f}, "
                        f"{at_s - newer.at_s:.1f} s after {newer.place[0]}:{newer.place[1]} was published"
                    )
                    break

    def _late_calls(self) -> Iterator[str]:
        """SES takes nothing under a claim whose lifetime has passed; what is begun then, its signature is too old for."""
        lifetime_s = self.world.settings.attempt_lifetime_s
        granted: dict[str, float] = {}
        for entry in self.world.net.history.entries:
            if entry.what == "redis.claim" and "->" in entry.about:
                granted |= {claim.attempt: entry.at_s for claim in entry.about[-2] if claim.state is State.SENDING}
        for message in self.world.ses.accepted:
            if message.at_s > granted.get(message.attempt, -inf) + lifetime_s:
                yield f"G1 {message.key} was accepted under {message.attempt} at {message.at_s:.3f}, when its claim had run out"

    def _set(self) -> Iterator[str]:
        """A set that is declared whole knows at least what the ledger holds as sent."""
        world = self.world
        server = world.redis.at("redis").set
        newest = read_control(world.kafka, world.settings.topics.control).newest
        if (server.marker.run, server.marker.lineage) != (server.run, newest):
            return
        for raw, mail in world.mails().items():
            if mail.outcome is Outcome.SENT and (key := key_of(raw)) is not None and key.month >= server.floor:
                claim = server.claims.get(key, ABSENT)
                if claim.state not in {State.SENT, State.SENT_RECORDED, State.DROPPED}:
                    yield f"G6 {key} is sent by the ledger, and {claim.to_text() or 'unknown'} by a set that is whole"

    def _twice(self) -> Iterator[str]:
        told: dict[tuple[int, int, str], list[str]] = defaultdict(list)
        for record in self.world.letters():
            letter = self.world.letter(record)
            told[letter.source.partition, letter.source.offset, letter.reason].append(letter.instance)
        for (partition, offset, reason), by in told.items():
            if len(by) > 1 and reason != "operator":
                yield f"G6 {partition}:{offset} has {len(by)} letters of {reason}, by {', '.join(by)}"
        for raw, entries in self.outcomes.items():
            sent = False
            for at_s, instance, delivery in entries:
                lowered = sent and delivery.outcome is not Outcome.SENT and not delivery.in_doubt
                if lowered and delivery.message_id is None:
                    yield f"G6 {raw.decode()}: {instance} lowered sent to {delivery.outcome.value} at {at_s:.3f}"
                sent = sent or delivery.outcome is Outcome.SENT
                if delivery.outcome is Outcome.SENT and delivery.reason != EVIDENCE and delivery.by is None:
                    yield from self._names(raw, delivery)

    def _names(self, raw: bytes, delivery: Delivery) -> Iterator[str]:
        """`sent` names the content that went out."""
        went = {m.place.fingerprint for m in self.world.ses.accepted if m.key.to_bytes() == raw}
        if went and delivery.fingerprint not in went:
            yield f"G6 {raw.decode()}: sent is said of {delivery.fingerprint}, and SES took {sorted(went)}"


def _made_whole(entry: Entry) -> bool:
    return entry.what == "redis.set_whole" and "->" in entry.about and entry.about[-2] is True


def _counts(key: bytes | None, value: bytes | None) -> bool:
    """A job or a tombstone: something that compaction would keep instead of what was before."""
    try:
        Key.from_bytes(key)
        return value is None or bool(decode_job(key, value))
    except BadRecord:
        return False


def _stood_still(world: World, who: str, since_s: float, until_s: float) -> bool:
    """Whether the process could not know: it was stalled meanwhile, or has just got partitions, and read on from there."""
    process = next(p for p in world.processes if p.name == who)
    came = [e.at_s for e in world.net.history.entries if e.who == who and e.what == "# partitions assigned"]
    fresh = any(until_s - GRACE_S < at_s <= until_s for at_s in came)
    return fresh or any(begin < until_s and end > since_s for begin, end in process.stalls)
