"""What an answer of SES's says of its own mail, and of all: is SES away, and is a refusal one mail's or everybody's?"""

from __future__ import annotations

from processor.core import answered
from processor.core.answers import Accepted, Halt, RefusedForNow, RetryClass, Verdict
from processor.core.gates import Gates
from processor.core.retry import delay_s
from processor.core.suspects import Meaning, Suspects
from processor.core.ticket import Attempt
from processor.ports import Clock
from processor.telemetry.meter import Meter
from schemas.runtime.backoff import Backoff, RetryTable
from schemas.runtime.logs import Event, get_log

__all__ = ["Judge"]

log = get_log()

PROBES = "no job is lost by that: all wait, and one call at a time tries whether it is back"


class Judge:
    """`note` every answer, then ask what `follows`."""

    def __init__(self, retry: RetryTable, gates: Gates, suspects: Suspects, clock: Clock, meter: Meter) -> None:
        self._backoff: dict[RetryClass, Backoff] = {name: getattr(retry, name) for name in RetryClass}
        self._tries_max = {name: backoff.max_attempts for name, backoff in self._backoff.items()}
        self._outage = gates.outage
        self._suspects = suspects
        self._clock = clock
        self._meter = meter

    def note(self, verdict: Verdict, attempt: Attempt, now_s: float) -> None:
        """Takes note of what an answer says of all; a change is told."""
        outage, was_away, since_s = self._outage, self._outage.away, self._outage.since_s
        outage.note(verdict, now_s)
        if isinstance(verdict, Accepted):
            self._suspects.note_accepted(_template(attempt))
        if outage.away == was_away:
            return
        self._meter.ses_away.set(outage.away)
        if outage.away:
            log.warning(Event.SES_AWAY, error=str(verdict), follows=PROBES)
        else:
            log.info(Event.SES_AGAIN, after_s=round(now_s - since_s, 1))

    def follows(self, verdict: Verdict, attempt: Attempt) -> answered.AfterAnswer:
        """What follows for the mail; a reason to halt names it and its template."""
        others = answered.Others(
            self._outage.away,
            self._outage.failing,
            self._meaning(verdict, attempt) if isinstance(verdict, Halt) and verdict.own else Meaning.EVERYBODYS,
            attempt.signed_anew,
        )
        tries = attempt.tries.get(verdict.retry, 0) + 1 if isinstance(verdict, RefusedForNow) else 0
        follows = answered.after_answer(
            verdict, attempt=attempt.id, tries=tries, tries_max=self._tries_max, others=others
        )
        if isinstance(follows, answered.GiveUp):
            about = f"{attempt.ticket.key}, template {_template(attempt)!r}"
            return answered.GiveUp(follows.reason, f"{about}: {follows.detail}")
        return follows

    def _meaning(self, verdict: Halt, attempt: Attempt) -> Meaning:
        job = attempt.ticket.job
        return self._suspects.meaning(
            str(attempt.ticket.key),
            _template(attempt),
            before=attempt.suspect,
            named=job is not None and job.email.lower() in verdict.detail.lower(),
        )

    def suspected(self, attempt: Attempt) -> Attempt:
        """It waits for what others are answered from now on."""
        return attempt.suspected(self._suspects.accepted)

    def delay_s(self, retry: RetryClass, tries: int) -> float:
        """Seconds until another try."""
        return delay_s(self._backoff[retry], tries, self._clock.random())


def _template(attempt: Attempt) -> str:
    return attempt.ticket.job.template if attempt.ticket.job is not None else ""
