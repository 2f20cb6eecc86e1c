"""Guarding lines of rebuild, evidence and the marks after a commit, each taken out by a patch."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

import processor.core.claims
import processor.core.letters
import processor.core.outcomes
import processor.core.resume
import processor.core.uncertain
import processor.shell.after_commit
import processor.shell.calls
import tests.simulation.job_log
import tests.simulation.process
import tests.simulation.world
from processor.adapters.letters import Letters
from processor.core.resume import Log
from processor.core.states import ABSENT, Claim, State
from processor.evidence.run import Evidence
from processor.evidence.sweep import Sweeper
from processor.shell.after_commit import AfterCommit
from schemas.records import Outcome
from tests.simulation.dedup import Scripts
from tests.simulation.job_log import SimJobLog
from tests.simulation.mutating import Patch, mutation, survives
from tests.simulation.mutation_stories import (
    beyond_the_end,
    cancelled_corrected_killed_and_lost,
    changed_and_replayed,
    closed_in_another_partition,
    doubt_after_proof_and_redis_lost,
    lost_again_while_it_is_rebuilt,
    made_anew,
    moved_to_the_end,
    proof_before_our_time_out,
)
from tests.simulation.redis_twin import SimSet
from tests.simulation.scenarios_kafka import a_letter_too_large
from tests.simulation.scenarios_months import (
    cancelled_after_it_had_ended,
    doubt_over_a_drop,
    resent_while_the_event_is_invisible,
    sent_of_another_content,
)
from tests.simulation.scenarios_rebuild import (
    a_claim_that_ended_comes_back,
    a_suspended_rebuild_marks_a_flushed_set,
    a_withdrawn_claim_comes_back,
    flushed_while_it_is_rebuilt,
    rebuilt_beside_a_whole_set,
)
from tests.simulation.scenarios_redis import a_server_that_tells_no_id

__all__: list[str] = []

# ---- after the commit ----


@mutation(only=("restarted", "commits_end_badly"), first=325)
def claims_are_not_released_on_drop(patch: Patch) -> None:
    patch.setattr(AfterCommit, "give_back", lambda *_: None)


@mutation(story=proof_before_our_time_out)
def after_doubt_is_always_none(patch: Patch) -> None:
    """With evidence at work its next sweep would write the proof once more."""
    patch.setattr(processor.shell.calls.decide, "after_doubt", lambda *_: None)
    patch.setattr(processor.shell.after_commit, "after_doubt", lambda *_: None)


@mutation(story=cancelled_after_it_had_ended)
def a_tombstone_leaves_what_had_ended(patch: Patch) -> None:
    cancel = Scripts.cancel
    patch.setattr(Scripts, "cancel", lambda self, claim, item: cancel(self, claim, item) if claim is ABSENT else claim)


@mutation(story=doubt_over_a_drop)
def a_doubt_lowers_what_ses_dropped(patch: Patch) -> None:
    def lowered(mail: Any, delivery: Any) -> Any:
        after = with_delivery(mail, delivery)
        return with_delivery(None, delivery) if delivery.in_doubt and after.outcome is Outcome.DEAD else after

    with_delivery = processor.core.outcomes.with_delivery
    patch.setattr(tests.simulation.world, "with_delivery", lowered)
    # Evidence's next sweep would write SES's word once more.
    patch.setattr(processor.core.uncertain, "_stands", lambda *_: False)


@mutation(story=sent_of_another_content)
def the_mark_names_no_content(patch: Patch) -> None:
    mark = Scripts.mark_sent
    patch.setattr(Scripts, "mark_sent", lambda self, claim, item: mark(self, claim, replace(item, fingerprint="")))


@mutation(story=doubt_after_proof_and_redis_lost)
def a_doubt_lowers_sent(patch: Patch) -> None:
    patch.setattr(processor.core.claims, "is_told", lambda *_: False)


# ---- letters ----


@mutation(story=a_letter_too_large)
def letters_are_not_cut(patch: Patch) -> None:
    patch.setattr(processor.core.letters, "_CUTS", ((),))


# ---- the rebuild ----


@mutation(only=("killed", "flushed", "restarted"), first=256)
def a_rebuild_forgets_the_intents(patch: Patch) -> None:
    patch.setattr(processor.core.claims.Fold, "intent", lambda *_: None)


@mutation(only=("flushed", "wiped_by_a_restart", "replayed"))
def the_set_is_declared_whole_unread(patch: Patch) -> None:
    async def believe(settings: Any, dedup: Any) -> int:
        await dedup.lock_rebuild("whoever", 30)
        await dedup.set_whole("whoever")
        return 0

    patch.setattr(tests.simulation.process, "ensure_whole", believe)


@mutation(story=cancelled_corrected_killed_and_lost)
def an_open_intent_after_closed_is_not_restored(patch: Patch) -> None:
    is_open = processor.core.claims._is_open

    def closed(attempt: Any, known: str) -> bool:
        return known.split(":", 3)[3][0] != "D" and is_open(attempt, known)

    patch.setattr(processor.core.claims, "_is_open", closed)


@mutation(story=closed_in_another_partition)
def another_partitions_close_hides_an_intent(patch: Patch) -> None:
    def hides(self: Scripts, claim: Claim, known: Claim, partition: int, ended: str) -> Claim:
        if claim.state is State.CLOSED:
            partition = claim.partition
        return restore(self, claim, known, partition, ended)

    restore = Scripts.restore
    patch.setattr(Scripts, "restore", hides)


@mutation(story=a_claim_that_ended_comes_back)
def a_letter_frees_no_claim(patch: Patch) -> None:
    def told(self: Any, key: bytes, delivery: Any) -> None:
        outcome(self, key, delivery)
        if delivery.outcome is Outcome.DEAD:
            self._open.set(key, None)

    outcome = processor.core.claims.Fold.outcome
    patch.setattr(processor.core.claims.Fold, "outcome", told)


@mutation(story=a_withdrawn_claim_comes_back)
def a_withdrawal_frees_no_claim(patch: Patch) -> None:
    """It takes the intent back, as before, and says no more."""

    def takes_back(self: Any, key: bytes, attempt: str) -> None:
        self._open.set(key, " ".join(self._without(key, attempt)) or None)

    patch.setattr(processor.core.claims.Fold, "_ends", takes_back)


@mutation(story=a_claim_that_ended_comes_back)
def a_rebuild_leaves_ended_claims(patch: Patch) -> None:
    restore = Scripts.restore
    patch.setattr(
        Scripts, "restore", lambda self, claim, known, partition, _ended: restore(self, claim, known, partition)
    )


@mutation(story=lost_again_while_it_is_rebuilt)
def a_rebuild_counts_under_another_run(patch: Patch) -> None:
    patch.setattr(SimSet, "set_whole", _marked_by_anybody)


async def _marked_by_anybody(self: Any, _token: str) -> bool:
    self.marker = self.run
    return True


@mutation(story=a_server_that_tells_no_id)
def a_server_without_an_id_is_taken_for_one(patch: Patch) -> None:
    async def server_run(self: Any) -> tuple[bool, str]:
        return self._is_whole(), self.run

    patch.setattr(SimSet, "server_run", server_run)
    patch.setattr(SimSet, "_is_whole", lambda self: self.marker == self.run)


@mutation(story=a_suspended_rebuild_marks_a_flushed_set)
def the_mark_carries_no_token(patch: Patch) -> None:
    patch.setattr(SimSet, "set_whole", _marked_by_anybody)


@mutation(story=rebuilt_beside_a_whole_set)
def chunks_carry_no_token(patch: Patch) -> None:
    async def extend_lock(self: Any, token: str, ttl_s: float) -> bool:
        return True

    patch.setattr(SimSet, "extend_lock", extend_lock)


@mutation(story=flushed_while_it_is_rebuilt)
def a_lost_lock_is_shrugged_off(patch: Patch) -> None:
    chunks_carry_no_token(patch)
    patch.setattr(SimSet, "set_whole", _marked_by_anybody)


# ---- another log than the group remembers ----


@mutation(story=moved_to_the_end)
def a_drain_believes_the_offsets(patch: Patch) -> None:
    patch.setattr(tests.simulation.process, "compare", lambda *_: 0)


@mutation(story=beyond_the_end)
def a_commit_beyond_the_end_counts(patch: Patch) -> None:
    """Nor does the reader tell that it was sent elsewhere."""

    async def silent(self: SimJobLog) -> None: ...

    resume = processor.core.resume.resume
    endless = Log(1_000_000)
    patch.setattr(SimJobLog, "_begin_anew", silent)
    patch.setattr(tests.simulation.job_log, "resume", lambda committed, _log: resume(committed, endless))


@mutation(story=made_anew)
def one_topic_is_as_good_as_another(patch: Patch) -> None:
    patch.setattr(tests.simulation.job_log, "replaced", lambda _began, _found: False)


@mutation(story=made_anew)
def a_commit_for_another_topic_counts(patch: Patch) -> None:
    patch.setattr(tests.simulation.job_log, "tagged", lambda text, _topic_id: text)


@mutation(story=changed_and_replayed)
def nobody_asks_what_was_told(patch: Patch) -> None:
    async def nothing(self: Letters, records: Any) -> set[tuple[int, int]]:
        return set()

    patch.setattr(Letters, "told", nothing)


# ---- evidence ----


@mutation(story=resent_while_the_event_is_invisible)
def the_policy_asks_nobody_whether_the_queue_is_empty(patch: Patch) -> None:
    sweep = Sweeper.sweep
    patch.setattr(Sweeper, "sweep", lambda self, now_ms, **_: sweep(self, now_ms, queue_empty=True))


@mutation(only=("answers_lost", "evidence_killed"), seeds=100)
def events_are_deleted_before_kafka_knows(patch: Patch) -> None:
    take = Evidence._take

    async def hasty(self: Any, queue: Any, messages: Any) -> None:
        await asyncio.to_thread(queue.delete, messages)
        await take(self, queue, messages)

    patch.setattr(Evidence, "_take", hasty)


@survives("the next claim or rebuild tells Redis; what else it costs is the scenario `a_dead_record_attempted_again`")
def redis_is_not_told_what_the_ledger_holds(patch: Patch) -> None:
    patch.setattr(AfterCommit, "recorded", lambda *_: None)
