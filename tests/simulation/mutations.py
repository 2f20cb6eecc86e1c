"""Deliberate breaks of the protocol. The exploration must catch each of them, or it proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from processor.core import decide
from processor.core.answers import Answer, RefusedForNow, RefusedMessage, RetryClass, Unanswered, Verdict, classify
from processor.core.claims import Folded, folded
from processor.core.evidence import SesEvent
from processor.core.states import ABSENT, Claim, State
from processor.ports import Item
from tests.simulation.dedup import Scripts
from tests.simulation.model_world import Call, Rules

__all__ = ["MUTATIONS", "Mutation"]


@dataclass(frozen=True)
class Mutation:
    """What was broken, how many faults it takes to show in a world of one job, and whether the policy sends again."""

    rules: type[Rules]
    faults: int = 1
    resends: bool = False

    @property
    def name(self) -> str:
        return self.rules.__name__


class SkipTheIntent(Rules):
    """Calls without a committed intent: after a wipe nobody knows of them."""

    intent_first = False


class CallBeforeTheClaim(Rules):
    """Redis is asked after SES."""

    claim_first = False


class ReleaseOnAReadTimeout(Rules):
    """A lost answer is taken for a refusal and tried again."""

    def verdict(self, answer: Answer) -> Verdict:
        return RefusedForNow(RetryClass.UNREACHABLE, "") if isinstance(answer, Unanswered) else classify(answer)


class DeadOnAReadTimeout(Rules):
    """A lost answer is taken for a final refusal."""

    def verdict(self, answer: Answer) -> Verdict:
        return RefusedMessage("timeout", "") if isinstance(answer, Unanswered) else classify(answer)


class TakeOverBeforeTheLifetime(Rules):
    """A foreign claim is doubted while its call may still run."""

    lifetime_waited = False


class ClaimAForeignKey(Rules):
    """Whoever comes second calls as well."""

    def after_claim(self, claim: Claim, call: Call) -> decide.AfterClaim:
        return decide.Call() if claim.state is State.SENDING else super().after_claim(claim, call)


class _FreeWhenExpired(Scripts):
    def expired(self, claim: Claim) -> Claim:
        return ABSENT


class FreeWhenExpired(Rules):
    """After its lifetime an attempt is taken for never made."""

    scripts = _FreeWhenExpired()


class IgnoreTheMarker(Rules):
    """Claims are granted by a set that was wiped."""

    needs_marker = False


class RebuildWithoutIntents(Rules):
    """Only the ledger is put back."""

    intents_rebuilt = False


class OffsetsBeforeOutcomes(Rules):
    """Two transactions instead of one."""

    outcomes_with_offsets = False


class NoNoteBeforeTheCommit(Rules):
    """An accepted mail is not marked at once: a crash then leaves in doubt what was answered."""

    note_at_once = False


class DeleteTheEventFirst(Rules):
    """SQS forgets before Kafka knows."""

    delete_after_commit = False


class LeaveTheProofToTheProcessor(Rules):
    """An event that comes while the call runs is not written to the ledger: somebody else will."""

    def is_news(self, event: SesEvent, before: Claim) -> bool:
        return before.state is not State.SENDING and super().is_news(event, before)


def _open_by_its_holder(entries: Any, intents: Any = ()) -> Folded | None:
    found = folded(entries, intents)
    last = found and found.claim.rpartition("~")[2]
    return found._replace(claim=f"A{last}") if found and last != found.claim else found


class OneOfSeveralIntentsIsEnough(Rules):
    """Of several open intents the last comes back under its own name: its holder calls, though another did."""

    fold = staticmethod(_open_by_its_holder)


def _any_withdrawal(entries: Any, intents: Any = ()) -> Folded | None:
    last = max((number for number, (_, intent) in enumerate(intents) if intent.withdrawn), default=-1)
    return folded(entries, intents[last + 1 :])


class AWithdrawalFreesTheKey(Rules):
    """Whoever leaves gracefully takes back the dead processor's intent as well."""

    fold = staticmethod(_any_withdrawal)


class _AnyLeave(Scripts):
    def claim(self, claim: Claim, item: Item, now_ms: int) -> Claim:
        if item.overrides and claim.state is not State.SENT_RECORDED:
            return Claim(State.SENDING, attempt=item.attempt, since_ms=now_ms)
        return super().claim(claim, item, now_ms)


class ALeaveOpensEverything(Rules):
    """A resend does not look at which attempt it overrides."""

    scripts = _AnyLeave()


MUTATIONS = (
    Mutation(SkipTheIntent),
    Mutation(CallBeforeTheClaim),
    Mutation(ReleaseOnAReadTimeout),
    Mutation(DeadOnAReadTimeout),
    Mutation(TakeOverBeforeTheLifetime),
    Mutation(ClaimAForeignKey),
    Mutation(FreeWhenExpired),
    Mutation(IgnoreTheMarker, faults=2),
    Mutation(RebuildWithoutIntents, faults=2),
    Mutation(OffsetsBeforeOutcomes),
    Mutation(NoNoteBeforeTheCommit),
    Mutation(DeleteTheEventFirst, faults=3),
    Mutation(LeaveTheProofToTheProcessor, faults=2),
    Mutation(OneOfSeveralIntentsIsEnough, faults=2),
    Mutation(AWithdrawalFreesTheKey, faults=3),
    Mutation(ALeaveOpensEverything, faults=2, resends=True),
)
