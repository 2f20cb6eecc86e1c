"""Guarding lines of rebuild, evidence and the marks after a commit, each taken out by a patch."""

from __future__ import annotations

import asyncio
from typing import Any

import processor.core.claims
import processor.core.letters
import processor.core.resume
import processor.shell.after_commit
import processor.shell.calls
import tests.simulation.job_log
import tests.simulation.process
from processor.adapters.letters import Letters
from processor.core.resume import Log
from processor.core.states import Claim, State
from processor.evidence.run import Evidence
from processor.shell.after_commit import AfterCommit
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

__all__: list[str] = []

# ---- after the commit ----


@mutation(only=("restarted", "flushed", "commits_end_badly", "scaled", "quota_used_up"), seeds=150, first=139)
def claims_are_not_released_on_drop(patch: Patch) -> None:
    patch.setattr(AfterCommit, "give_back", lambda *_: None)


@mutation(story=proof_before_our_time_out)
def after_doubt_is_always_none(patch: Patch) -> None:
    """With evidence at work its next sweep would write the proof once more."""
    patch.setattr(processor.shell.calls.decide, "after_doubt", lambda *_: None)
    patch.setattr(processor.shell.after_commit, "after_doubt", lambda *_: None)


@mutation(story=doubt_after_proof_and_redis_lost)
def a_doubt_lowers_sent(patch: Patch) -> None:
    patch.setattr(processor.core.claims, "is_sent", lambda _known: False)


# ---- letters ----


@mutation(story=a_letter_too_large)
def letters_are_not_cut(patch: Patch) -> None:
    patch.setattr(processor.core.letters, "_CUTS", ((),))


# ---- the rebuild ----


@mutation(only=("killed", "flushed", "wiped_by_a_restart", "restarted"), seeds=100, first=99)
def a_rebuild_forgets_the_intents(patch: Patch) -> None:
    patch.setattr(processor.core.claims.Fold, "intent", lambda *_: None)


@mutation(only=("flushed", "wiped_by_a_restart", "replayed"))
def the_set_is_declared_whole_unread(patch: Patch) -> None:
    async def believe(settings: Any, dedup: Any) -> int:
        _, run = await dedup.server_run()
        await dedup.set_whole(run)
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
    def hides(self: Scripts, claim: Claim, known: Claim, partition: int) -> Claim:
        if claim.state is State.CLOSED:
            partition = claim.partition
        return restore(self, claim, known, partition)

    restore = Scripts.restore
    patch.setattr(Scripts, "restore", hides)


@mutation(story=lost_again_while_it_is_rebuilt)
def a_rebuild_counts_under_another_run(patch: Patch) -> None:
    async def careless(self: Any, run: str) -> bool:
        self.marker = self.run
        return True

    patch.setattr(SimSet, "set_whole", careless)


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


@mutation(only=("answers_lost", "evidence_killed"), seeds=100)
def events_are_deleted_before_kafka_knows(patch: Patch) -> None:
    take = Evidence._take

    async def hasty(self: Any, queue: Any, messages: Any) -> None:
        await asyncio.to_thread(queue.delete, messages)
        await take(self, queue, messages)

    patch.setattr(Evidence, "_take", hasty)


@survives("`restore` never lowers a claim, so two rebuilds at once only do the work twice")
def the_rebuilds_lock_is_ignored(patch: Patch) -> None:
    async def anybody(self: Any, token: str, ttl_s: float) -> bool:
        return True

    patch.setattr(SimSet, "lock_rebuild", anybody)


@survives("the next claim or rebuild tells Redis; what else it costs is the scenario `a_dead_record_attempted_again`")
def redis_is_not_told_what_the_ledger_holds(patch: Patch) -> None:
    patch.setattr(AfterCommit, "recorded", lambda *_: None)
