"""Guarding lines of what is barred, looked up and told once, each taken out by a patch."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

import processor.core.decide
from processor.adapters.letters import EventLetters, Letters
from processor.core.batch import Batches
from processor.core.states import ABSENT, Claim, State
from processor.ports import Item
from processor.shell.after_commit import AfterCommit
from processor.shell.bars import Bars
from tests.simulation.dedup import Scripts
from tests.simulation.mutating import Patch, mutation
from tests.simulation.scenarios_months import (
    a_dead_record_attempted_again,
    a_drop_told_twice,
    dead_over_sent,
    settled_before_the_ledger_has_ses_word,
)
from tests.simulation.scenarios_settling import (
    a_bad_record_read_by_two_groups,
    a_bad_record_told_and_not_closed,
    a_changed_record_told_by_two_groups,
    a_dead_record_of_a_commit_that_nobody_heard_of,
    a_nameless_record_told_by_two_groups,
    cancelled_over_sent,
    lost_while_ses_accepts,
    refused_after_a_lost_answer,
)

__all__: list[str] = []


@mutation(story=lost_while_ses_accepts)
def what_a_lost_partition_accepted_is_told_by_its_next_owner_alone(patch: Patch) -> None:
    patch.setattr(Batches, "keep_facts", lambda *_: None)


@mutation(story=dead_over_sent)
def a_refused_record_frees_its_key(patch: Patch) -> None:
    patch.setattr(Scripts, "note_refused", lambda self, claim, item, _now_ms: self.release(claim, item))


@mutation(story=a_bad_record_read_by_two_groups)
def a_bad_record_bars_nothing(patch: Patch) -> None:
    refuse = processor.core.decide.after_refuse

    def after_refuse(claim: Claim, refusal: Any, **about: Any) -> Any:
        return refusal if claim.state is State.BARRED else refuse(claim, refusal, **about)

    patch.setattr(processor.core.decide, "after_refuse", after_refuse)


@mutation(story=cancelled_over_sent)
def a_tombstone_bars_nothing(patch: Patch) -> None:
    """It closes its key at once, before its cancellation has committed."""
    cancel, after = Scripts.cancel, processor.core.decide.after_cancel

    def closed(self: Scripts, claim: Claim, item: Item, now_ms: int) -> Claim:
        barred = cancel(self, claim, item, now_ms).state is State.BARRED
        return Claim(State.CLOSED, partition=item.partition, offset=item.offset) if barred else claim

    def after_cancel(claim: Claim, *, bar: str) -> Any:
        return after(replace(claim, state=State.BARRED, attempt=bar) if claim.state is State.CLOSED else claim, bar=bar)

    patch.setattr(Scripts, "cancel", closed)
    patch.setattr(processor.core.decide, "after_cancel", after_cancel)


@mutation(story=a_changed_record_told_by_two_groups)
def whoever_asks_may_tell(patch: Patch) -> None:
    patch.setattr(Scripts, "tells", lambda *_: True)


@mutation(story=a_nameless_record_told_by_two_groups)
def who_tells_is_not_asked(patch: Patch) -> None:
    async def as_it_is(self: Bars, attempts: Any, follows: Any) -> Any:
        return follows

    patch.setattr(Bars, "tell_once", as_it_is)


@mutation(story=a_dead_record_attempted_again, alone=True)
def a_bar_frees_the_key_when_its_time_is_over(patch: Patch) -> None:
    def expired(self: Scripts, claim: Claim) -> Claim:
        return ABSENT if claim.state is State.BARRED else Claim(State.UNCERTAIN, attempt=claim.attempt)

    patch.setattr(Scripts, "expired", expired)


@mutation(story=a_bad_record_told_and_not_closed)
def nobody_looks_for_the_letter_of_a_bar(patch: Patch) -> None:
    async def nothing(self: Letters, records: Any) -> set[tuple[int, int]]:
        return set()

    patch.setattr(Letters, "told", nothing)


@mutation(story=a_dead_record_of_a_commit_that_nobody_heard_of, alone=True)
def what_an_unknown_end_recorded_is_freed(patch: Patch) -> None:
    patch.setattr(AfterCommit, "recorded", lambda self, finished: self.give_back(one.attempt for one in finished))


@mutation(story=settled_before_the_ledger_has_ses_word)
def a_drop_names_no_message(patch: Patch) -> None:
    drop = Scripts.drop
    patch.setattr(Scripts, "drop", lambda self, claim, item: replace(drop(self, claim, item), message_id=""))


@mutation(story=refused_after_a_lost_answer)
def a_doubt_that_only_the_set_knows_is_passed_over(patch: Patch) -> None:
    patch.setattr(processor.core.decide, "_unrecorded", lambda _claim: None)


@mutation(story=a_drop_told_twice)
def nobody_asks_which_events_were_told(patch: Patch) -> None:
    async def nothing(self: EventLetters, events: Any) -> set[Any]:
        return set()

    patch.setattr(EventLetters, "told", nothing)
