"""Guarding lines of the shell, each taken out by a patch: some history must show what it held, or the net is torn.

`SURVIVORS` names those that no history shows, each with what holds all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

import processor.after_commit
import processor.attempts
import processor.calls
import processor.core.assignments
import processor.core.rebuild
import tests.simulation.process
from processor.after_commit import AfterCommit
from processor.attempts import Attempts
from processor.calls import Calls
from processor.core import decide
from processor.core.answers import RefusedForNow, RetryClass, Unanswered, classify
from processor.core.assignments import Assignments
from processor.core.batch import Batch, Batches
from processor.core.due import DueQueue
from processor.core.engine import Engine
from processor.core.gates import Gates
from processor.core.key_order import KeyOrder
from processor.core.offsets import Window
from processor.core.states import Claim, State
from processor.drain import Drain
from processor.evidence.run import Evidence
from processor.transactions import Transactions
from processor.worker import Worker
from schemas.settings import Settings
from tests.simulation.audit import Audit
from tests.simulation.dedup import Scripts
from tests.simulation.mutation_stories import (
    cancelled_corrected_killed_and_lost,
    closed_in_another_partition,
    corrected_behind_a_broken_one,
    doubt_after_proof_and_redis_lost,
    drained_beside_another,
    lost_again_while_it_is_rebuilt,
    proof_before_our_time_out,
    stands_still_after_the_answer,
    stands_still_under_a_claim,
    stopped_in_a_call,
)
from tests.simulation.redis_twin import SimSet
from tests.simulation.simulate import simulate, unknown
from tests.simulation.world import World

__all__ = ["MUTATIONS", "SURVIVORS", "Mutation", "caught"]

Patch = pytest.MonkeyPatch
Break = Callable[[Patch], None]
Story = Callable[[World, Audit], Awaitable[None]]


@dataclass(frozen=True)
class Mutation:
    """One line taken out, and where to look: a story of its own, or so many seeds of some classes of faults."""

    apply: Break
    story: Story | None = None
    only: tuple[str, ...] = ()
    seeds: int = 40

    @property
    def name(self) -> str:
        return self.apply.__name__


MUTATIONS: list[Mutation] = []


def mutation(**where: Any) -> Callable[[Break], Break]:
    def note(apply: Break) -> Break:
        MUTATIONS.append(Mutation(apply, **where))
        return apply

    return note


SURVIVORS: dict[str, str] = {}


def survives(why: str) -> Callable[[Break], Break]:
    """No history shows it, for this reason."""

    def note(apply: Break) -> Break:
        SURVIVORS[apply.__name__] = why
        return apply

    return note


def caught(mutation: Mutation) -> str:
    """What a history finds of it that is good without it; empty when it survives."""
    if mutation.story is not None:
        assert not (before := _told(mutation.story)), f"the story is bad without the mutation: {before}"
        with pytest.MonkeyPatch.context() as patch:
            mutation.apply(patch)
            return _told(mutation.story)
    for seed in range(1, mutation.seeds + 1):
        with pytest.MonkeyPatch.context() as patch:
            mutation.apply(patch)
            result = simulate(seed, only=mutation.only)
        if result.findings and not simulate(seed, only=mutation.only).findings:
            return f"seed {seed}: {result.findings[0]}"
    return ""


def _told(story: Story) -> str:
    with World.made(1) as world:
        audit = Audit(world)
        world.run(story(world, audit))
        return "; ".join(unknown(world, audit.findings()))


# ---- the worker ----


@mutation(only=("stopped", "flushed", "scaled", "quota_used_up"), seeds=150)
def a_graceful_stop_withdraws_nothing(patch: Patch) -> None:
    written = Transactions.written
    patch.setattr(Transactions, "written", lambda self, batch: written(self, replace(batch, withdrawn=())))


@mutation(only=("killed", "poisoned", "stalled"), seeds=100)
def commit_metadata_ignored(patch: Patch) -> None:
    patch.setattr(processor.core.assignments, "Window", lambda committed, _metadata="": Window(committed))


@mutation()
def intents_submitted_before_the_commit(patch: Patch) -> None:
    following, committed, commit = Engine.next, Engine.committed, Worker._commit

    def early(self: Engine, open_max: int, new_attempt: Any) -> Batch:
        batch = following(self, open_max, new_attempt)
        self.due.submit(batch.intended)
        return batch

    async def hasty(self: Worker) -> None:
        self._deliverer.wake()
        await commit(self)

    patch.setattr(Engine, "next", early)
    patch.setattr(Engine, "committed", lambda self, batch: committed(self, replace(batch, intended=())))
    patch.setattr(Worker, "_commit", hasty)


@mutation(only=("stalled", "commits_end_badly", "scaled", "zombie"))
def the_outcome_of_a_lost_partition_is_written(patch: Patch) -> None:
    patch.setattr(Assignments, "owns", lambda *_: True)


@mutation(only=("commits_end_badly",))
def an_aborted_transaction_is_forgotten(patch: Patch) -> None:
    aborted = Batches.aborted

    def forgetful(self: Any, batch: Batch) -> None:
        aborted(self, batch)
        del self._ended[: len(batch.finished)]

    patch.setattr(Batches, "aborted", forgetful)


@mutation(only=("corrected", "cancelled", "quota_used_up", "ses_troubled"), seeds=150)
def a_newer_record_supersedes_nothing(patch: Patch) -> None:
    patch.setattr(KeyOrder, "superseded", lambda *_: False)


@mutation(only=("commits_end_badly",))
def an_unknown_end_is_taken_for_an_abort(patch: Patch) -> None:
    async def go_on(self: Any) -> None:
        self._log.unknown = False

    patch.setattr(Worker, "_start_over", go_on)


# ---- the deliverer ----


@mutation(only=("answers_lost", "events_unruly"))
def a_lost_answer_is_taken_for_a_refusal(patch: Patch) -> None:
    def trusting(answer: Any) -> Any:
        return RefusedForNow(RetryClass.UNREACHABLE, "") if isinstance(answer, Unanswered) else classify(answer)

    patch.setattr(processor.calls, "classify", trusting)


@mutation(only=("replayed", "stalled", "zombie"), seeds=100)
def a_foreign_claim_is_taken_for_ones_own(patch: Patch) -> None:
    after = decide.after_claim

    def greedy(claim: Claim, **about: Any) -> Any:
        return decide.Call() if claim.state is State.SENDING else after(claim, **about)

    patch.setattr(processor.attempts.decide, "after_claim", greedy)


@mutation(story=stopped_in_a_call)
def a_revocation_does_not_wait_for_calls(patch: Patch) -> None:
    async def hasty(self: Any, gone: Any) -> Any:
        return self._engine.due.drop(gone)

    patch.setattr(Attempts, "quiesce", hasty)


@mutation(story=stands_still_after_the_answer)
def an_accepted_mail_is_not_marked(patch: Patch) -> None:
    async def silent(self: Any, attempt: Any, mark: Any) -> None: ...

    patch.setattr(Calls, "_mark", silent)


# ---- after the commit ----


@mutation(only=("restarted", "flushed", "commits_end_badly", "scaled", "quota_used_up"), seeds=150)
def claims_are_not_released_on_drop(patch: Patch) -> None:
    patch.setattr(AfterCommit, "give_back", lambda *_: None)


@mutation(story=proof_before_our_time_out)
def after_doubt_is_always_none(patch: Patch) -> None:
    """With evidence at work its next sweep would write the proof once more."""
    patch.setattr(processor.calls.decide, "after_doubt", lambda *_: None)
    patch.setattr(processor.after_commit, "after_doubt", lambda *_: None)


@mutation(story=doubt_after_proof_and_redis_lost)
def a_doubt_lowers_sent(patch: Patch) -> None:
    patch.setattr(processor.core.rebuild, "is_sent", lambda _known: False)


# ---- the rebuild ----


@mutation(only=("killed", "flushed", "wiped_by_a_restart", "restarted"), seeds=100)
def a_rebuild_forgets_the_intents(patch: Patch) -> None:
    patch.setattr(processor.core.rebuild.Fold, "intent", lambda *_: None)


@mutation(only=("flushed", "wiped_by_a_restart", "replayed"))
def the_set_is_declared_whole_unread(patch: Patch) -> None:
    async def believe(settings: Any, dedup: Any) -> int:
        _, run = await dedup.server_run()
        await dedup.set_whole(run)
        return 0

    patch.setattr(tests.simulation.process, "ensure_whole", believe)


@mutation(story=cancelled_corrected_killed_and_lost)
def an_open_intent_after_closed_is_not_restored(patch: Patch) -> None:
    is_open = processor.core.rebuild._is_open

    def closed(attempt: Any, known: str) -> bool:
        return known.split(":", 3)[3][0] != "D" and is_open(attempt, known)

    patch.setattr(processor.core.rebuild, "_is_open", closed)


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


# ---- evidence ----


@mutation(only=("answers_lost", "evidence_killed"), seeds=100)
def events_are_deleted_before_kafka_knows(patch: Patch) -> None:
    take = Evidence._take

    async def hasty(self: Any, queue: Any, messages: Any) -> None:
        await asyncio.to_thread(queue.delete, messages)
        await take(self, queue, messages)

    patch.setattr(Evidence, "_take", hasty)


# ---- more of the deliverer ----


@mutation(story=stands_still_under_a_claim)
def the_deadline_of_a_claim_is_ignored(patch: Patch) -> None:
    patch.setattr(Settings, "start_window_s", 1e9)


@survives("`restore` never lowers a claim, so two rebuilds at once only do the work twice")
def the_rebuilds_lock_is_ignored(patch: Patch) -> None:
    async def anybody(self: Any, token: str, ttl_s: float) -> bool:
        return True

    patch.setattr(SimSet, "lock_rebuild", anybody)


@survives("the next claim or rebuild tells Redis; what else it costs is the scenario `a_dead_record_attempted_again`")
def redis_is_not_told_what_the_ledger_holds(patch: Patch) -> None:
    patch.setattr(AfterCommit, "recorded", lambda *_: None)


@mutation(only=("corrected", "cancelled", "quota_used_up"), seeds=100)
def a_follower_whose_predecessor_left_is_forgotten(patch: Patch) -> None:
    patch.setattr(Engine, "_start_next", lambda self, ended: self._order.end(ended))


# ---- the engine ----


@mutation(story=corrected_behind_a_broken_one)
def a_broken_record_shields_an_older_one(patch: Patch) -> None:
    def the_last_alone(self: Any, first: Any, line: Any) -> None:
        self._superseded.add(line[-1] if line else first)

    patch.setattr(KeyOrder, "_supersede", the_last_alone)


@mutation(only=("corrected", "cancelled", "quota_used_up", "ses_troubled"), seeds=100)
def two_records_of_a_key_at_once(patch: Patch) -> None:
    patch.setattr(KeyOrder, "arrive", lambda *_: True)


@mutation(only=("commits_end_badly",))
def what_was_intended_in_vain_is_not_intended_again(patch: Patch) -> None:
    patch.setattr(Batches, "aborted", lambda *_: None)


@mutation(only=("flushed", "restarted", "quota_used_up", "ses_troubled"))
def what_was_not_claimed_is_not_put_back(patch: Patch) -> None:
    patch.setattr(DueQueue, "put_back", lambda *_: None)


@mutation(only=("ses_troubled", "quota_used_up"))
def a_call_that_was_refused_for_now_keeps_its_claim(patch: Patch) -> None:
    async def keep(self: Any, attempt: Any) -> None: ...

    patch.setattr(Calls, "_release", keep)


@mutation(story=drained_beside_another)
def a_drain_looks_at_its_own_partitions_alone(patch: Patch) -> None:
    async def content(self: Any) -> bool:
        return bool(self._engine.assigned.reached)

    patch.setattr(Drain, "look", content)


@survives("the group's budget is its own: SES refuses what is too much, for now, and nothing is called twice")
def the_quota_is_not_kept_to(patch: Patch) -> None:
    patch.setattr(Gates, "no_call", Gates.shut)
