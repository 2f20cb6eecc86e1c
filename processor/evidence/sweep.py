"""Mails in doubt, looked at now and then: what Redis knows better, and what may be sent again by policy."""

from __future__ import annotations

from dataclasses import dataclass, field

from processor.adapters.jobs import publish_resends
from processor.adapters.redis import RedisDedup
from processor.core.adoption import ADOPTED
from processor.core.states import Claim, State
from processor.core.uncertain import UncertainFold, UncertainMail, may_resend
from processor.evidence.sink import Sink
from processor.ports import BY_KEY, Produced
from schemas.codec import encode
from schemas.kafka.reading import Follower
from schemas.records import Delivery, Outcome, Resend
from schemas.runtime.ending import in_thread
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["Sweeper", "UncertainMails"]

log = get_log()

WHO = "policy resend-after-evidence-window"


class UncertainMails:
    """The ledger's mails in doubt, kept up to date by reading on from where the last look ended."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._fold = UncertainFold()

    def now(self) -> list[UncertainMail]:
        """Every mail in doubt. Raises `BrokerUnavailable`."""
        for record in self._follower.news():
            if record.key is not None:
                self._fold.add(record.key, record.value, record.partition)
        return self._fold.mails()

    def overtaken(self) -> dict[bytes, Delivery]:
        """Proofs to be written once more, as of the last `now`."""
        return dict(self._fold.overtaken)


@dataclass
class Sweeper:
    """`sweep` brings the ledger to what Redis knows, and sends again what the policy allows."""

    settings: Settings
    dedup: RedisDedup
    sink: Sink
    mails: UncertainMails
    since_ms: list[int] = field(default_factory=list)
    """when each mail that was held at the last look came into doubt"""
    asked: set[str] = field(default_factory=set)
    """Attempts whose mails were asked to be sent again: they stay uncertain until the new attempt has an outcome."""

    @property
    def resends(self) -> bool:
        """Whether the policy sends again at all."""
        return self.settings.on_uncertain == "resend-after-evidence-window"

    async def sweep(self, now_ms: int, *, queue_empty: bool) -> None:
        """One look at every mail in doubt. Raises `BrokerUnavailable` and `RedisUnavailable`.

        Args:
            now_ms: wall clock.
            queue_empty: whether the queue held nothing, visible or in flight, just before this. What somebody received
                and has not told of may be the event of any mail in doubt: then none is sent again.
        """
        found = await in_thread(self.mails.now)
        self.since_ms[:] = [mail.delivery.at_ms for mail in found if mail.delivery.outcome is Outcome.UNCERTAIN]
        claims = await self.dedup.peek_all([mail.key for mail in found])
        alive_ms = await self.dedup.feed_alive_ms()
        deliveries = self.settings.topics.deliveries
        records: list[Produced] = []
        for mail, claim in zip(found, claims, strict=True):
            if claim.state is State.SENT:
                better = mail.as_sent(claim, now_ms)
                records.append(Produced(deliveries, BY_KEY, mail.key.to_bytes(), encode(better)))
                self.sink.counts["resolved"] += 1
                log.info(Event.RESOLVED, key=str(mail.key), attempt=mail.attempt, evidence="dedup set")
        records += [Produced(deliveries, BY_KEY, key, encode(proof)) for key, proof in self.mails.overtaken().items()]
        await self.sink.write(records)
        if not (self.resends and queue_empty):
            return
        why = f"no event within {self.settings.evidence_window_s:g} s though the feed told of later mails"
        leaves = [
            (mail, Resend(mail.attempt, WHO, why, now_ms))
            for mail, claim in zip(found, claims, strict=True)
            if self._is_held(mail, claim)
            and mail.attempt not in self.asked
            and may_resend(mail.delivery.at_ms, now_ms, alive_ms, self.settings.evidence_window_s)
        ]
        if leaves:
            gone = await in_thread(publish_resends, self.settings, leaves)
            self.sink.counts["resent"] += len(leaves) - len(gone)
            self.asked.update(mail.attempt for mail, _ in leaves)

    def _is_held(self, mail: UncertainMail, claim: Claim) -> bool:
        """Whether the mail waits for a decision, and the attempt in the ledger is the one in doubt.

        Events of what was adopted may have come before, to others: their absence proves nothing.
        """
        held = claim.state in {State.UNCERTAIN, State.UNCERTAIN_RECORDED} and claim.attempt == mail.attempt
        adopted = mail.delivery.reason == ADOPTED
        return held and not adopted and mail.delivery.outcome is Outcome.UNCERTAIN
