"""Guarding lines of the checkpoint, each taken out by a patch."""

from __future__ import annotations

from typing import Any

import processor.core.checkpoint
import processor.recovery.follow
import processor.recovery.rebuild
from processor.core.checkpoint import Cut
from processor.core.claims import folded
from processor.core.resume import Log
from processor.ports import RebuildLost
from tests.simulation.dedup import Scripts
from tests.simulation.mutating import Patch, mutation, survives
from tests.simulation.redis_twin import SimSet
from tests.simulation.scenarios_checkpoint import (
    a_claim_lost_behind_the_checkpoint,
    a_doubt_before_the_checkpoint,
    an_outcome_that_the_set_never_heard_of,
    copied_key_by_key,
    cut_and_grown_past_a_checkpoint,
    failed_over_with_a_checkpoint_and_back,
    redis_back_with_most_of_its_data,
    topics_made_anew_beside_a_checkpoint,
)

__all__: list[str] = []


@mutation(story=a_claim_lost_behind_the_checkpoint)
def the_checkpoint_passes_open_intents(patch: Patch) -> None:
    patch.setattr(Cut, "hold", lambda _self, _places: None)


@mutation(story=an_outcome_that_the_set_never_heard_of)
def the_checkpoint_moves_and_nothing_is_applied(patch: Patch) -> None:
    patch.setattr(Scripts, "follow", lambda _self, claim, _read: claim)


@mutation(story=topics_made_anew_beside_a_checkpoint)
def other_topics_void_no_checkpoint(patch: Patch) -> None:
    patch.setattr(processor.recovery.rebuild, "why_void", lambda _since, _ends: "")


@mutation(story=cut_and_grown_past_a_checkpoint)
def a_log_that_was_cut_voids_no_checkpoint(patch: Patch) -> None:
    patch.setattr(processor.core.checkpoint, "Log", lambda end, topic_id, _epoch: Log(end, topic_id))


@survives("whoever reads begins anew by itself where a log ends before its place; a unit test holds the rule")
def a_log_that_is_too_short_voids_no_checkpoint(patch: Patch) -> None:
    patch.setattr(processor.core.checkpoint, "Log", lambda _end, topic_id, epoch: Log(1 << 40, topic_id, epoch))


@mutation(story=copied_key_by_key)
def a_copy_is_taken_for_a_prefix(patch: Patch) -> None:
    async def checkpoint(self: Any, token: str) -> Any:
        if not self._holds(token):
            raise RebuildLost("the rebuild has lost its lock")
        return self.carried.checkpoint

    patch.setattr(SimSet, "checkpoint", checkpoint)


@mutation(story=a_doubt_before_the_checkpoint)
def what_the_set_says_is_not_asked(patch: Patch) -> None:
    patch.setattr(processor.recovery.rebuild, "folded_on", lambda _claim, entries, intents: folded(entries, intents))


@mutation(story=redis_back_with_most_of_its_data)
def a_restart_is_read_from_the_beginning(patch: Patch) -> None:
    patch.setattr(processor.recovery.rebuild, "why_void", lambda _since, _ends: "it is not looked at")


@mutation(story=failed_over_with_a_checkpoint_and_back)
def a_failover_is_read_from_the_beginning(patch: Patch) -> None:
    a_restart_is_read_from_the_beginning(patch)
