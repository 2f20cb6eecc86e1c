"""Guarding lines of the engine and what drives it, each taken out by a patch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import processor.core.assignments
import processor.core.batch
import processor.shell.attempts
import processor.shell.calls
from processor.adapters.letters import Letters
from processor.core import decide
from processor.core.answers import RefusedForNow, RetryClass, Unanswered, classify
from processor.core.assignments import Assignments
from processor.core.batch import Batch, Batches
from processor.core.due import DueQueue
from processor.core.engine import Engine
from processor.core.gates import Gates
from processor.core.key_order import KeyOrder
from processor.core.newest import Newest
from processor.core.offsets import Window
from processor.core.starts import Starts
from processor.core.states import Claim, State
from processor.shell.attempts import Attempts
from processor.shell.calls import Calls
from processor.shell.control import ControlFollower
from processor.shell.drain import Drain
from processor.shell.rebalances import Rebalances
from processor.shell.transactions import Transactions
from processor.shell.worker import Worker
from schemas.runtime.settings import Settings
from tests.simulation.mutating import Patch, mutation, survives
from tests.simulation.mutation_stories import (
    corrected_behind_a_broken_one,
    drained_beside_another,
    killed_in_a_back_off,
    stands_still_after_the_answer,
    stands_still_under_a_claim,
    stopped_in_a_call,
)
from tests.simulation.scenarios_latest import a_cancel_before_any_processor, a_cancel_while_a_lost_set_is_marked

__all__: list[str] = []

# ---- the worker ----


@mutation(only=("stopped", "flushed", "scaled", "quota_used_up"), seeds=150)
def a_graceful_stop_withdraws_nothing(patch: Patch) -> None:
    written = Transactions.written
    patch.setattr(Transactions, "written", lambda self, batch: written(self, replace(batch, withdrawn=())))


@mutation(only=("killed", "poisoned", "stalled"), seeds=100, first=69)
def commit_metadata_ignored(patch: Patch) -> None:
    """Nor does anybody ask which letters there are, which would make up for it."""

    async def nothing(self: Letters, records: Any) -> set[tuple[int, int]]:
        return set()

    patch.setattr(Letters, "told", nothing)
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


@mutation(only=("commits_end_badly",), first=39)
def an_aborted_transaction_is_forgotten(patch: Patch) -> None:
    aborted = Batches.aborted

    def forgetful(self: Any, batch: Batch) -> None:
        aborted(self, batch)
        del self._ended[: len(batch.finished)]

    patch.setattr(Batches, "aborted", forgetful)


@mutation(only=("corrected", "cancelled", "quota_used_up", "ses_troubled"), seeds=150)
def a_newer_record_supersedes_nothing(patch: Patch) -> None:
    what_was_read_ahead_replaces_nothing(patch)
    patch.setattr(KeyOrder, "superseded", lambda *_: False)


@mutation(only=("commits_end_badly",))
def an_unknown_end_is_taken_for_an_abort(patch: Patch) -> None:
    async def go_on(_self: Rebalances, renew: Any) -> None:
        renew.__self__.unknown = False

    patch.setattr(Rebalances, "start_over", go_on)


# ---- the deliverer ----


@mutation(only=("answers_lost", "events_unruly"))
def a_lost_answer_is_taken_for_a_refusal(patch: Patch) -> None:
    def trusting(answer: Any) -> Any:
        return RefusedForNow(RetryClass.UNREACHABLE, "") if isinstance(answer, Unanswered) else classify(answer)

    patch.setattr(processor.shell.calls, "classify", trusting)


@mutation(only=("replayed", "stalled", "zombie"), seeds=100)
def a_foreign_claim_is_taken_for_ones_own(patch: Patch) -> None:
    after = decide.after_claim

    def greedy(claim: Claim, **about: Any) -> Any:
        return decide.Call() if claim.state is State.SENDING else after(claim, **about)

    patch.setattr(processor.shell.attempts.decide, "after_claim", greedy)


@mutation(story=stopped_in_a_call)
def a_revocation_does_not_wait_for_calls(patch: Patch) -> None:
    async def hasty(self: Any, gone: Any) -> Any:
        return self._engine.due.drop(gone)

    patch.setattr(Attempts, "quiesce", hasty)


@mutation(story=stands_still_after_the_answer)
def an_accepted_mail_is_not_marked(patch: Patch) -> None:
    async def silent(self: Any, attempt: Any, mark: Any) -> None: ...

    patch.setattr(Calls, "_note", silent)


# ---- more of the deliverer ----


@mutation(story=stands_still_under_a_claim)
def the_deadline_of_a_claim_is_ignored(patch: Patch) -> None:
    """And so is what the control topic says of a process that stood still: each bars the late call by itself."""
    patch.setattr(Settings, "start_window_s", 1e9)
    patch.setattr(ControlFollower, "refusal", lambda *_: "")


@mutation(only=("corrected", "cancelled", "quota_used_up"), seeds=100)
def a_follower_whose_predecessor_left_is_forgotten(patch: Patch) -> None:
    patch.setattr(Engine, "_start_next", lambda self, ended: self._order.end(ended))


# ---- the engine ----


@mutation(story=corrected_behind_a_broken_one)
def a_broken_record_shields_an_older_one(patch: Patch) -> None:
    def the_last_alone(self: Any, first: Any, line: Any) -> None:
        self._superseded.add(line[-1] if line else first)

    # Whoever reads ahead of the intake knows the newer one as well.
    what_was_read_ahead_replaces_nothing(patch)
    patch.setattr(KeyOrder, "_supersede", the_last_alone)


@mutation(only=("corrected", "cancelled", "quota_used_up", "ses_troubled"), seeds=100)
def two_records_of_a_key_at_once(patch: Patch) -> None:
    what_was_read_ahead_replaces_nothing(patch)
    patch.setattr(KeyOrder, "arrive", lambda *_: True)


@mutation(only=("commits_end_badly",), first=25)
def what_was_intended_in_vain_is_not_intended_again(patch: Patch) -> None:
    patch.setattr(Batches, "aborted", lambda *_: None)


@mutation(story=a_cancel_before_any_processor)
def claims_wait_for_no_scan(patch: Patch) -> None:
    patch.setattr(Newest, "unread", frozenset())


@mutation(story=a_cancel_before_any_processor)
def what_was_read_ahead_replaces_nothing(patch: Patch) -> None:
    patch.setattr(Newest, "superseded", lambda *_: False)


@mutation(story=a_cancel_while_a_lost_set_is_marked)
def a_set_made_whole_is_used_at_once(patch: Patch) -> None:
    patch.setattr(Starts, "scan_anew", lambda *_: None)


@mutation(only=("flushed", "restarted", "quota_used_up", "ses_troubled"))
def what_was_not_claimed_is_not_put_back(patch: Patch) -> None:
    patch.setattr(DueQueue, "put_back", lambda *_: None)


@mutation(story=killed_in_a_back_off)
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
