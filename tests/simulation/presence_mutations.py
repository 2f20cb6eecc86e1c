"""Guarding lines of the grant count, and of what a start-over frees, each taken out by a patch."""

from __future__ import annotations

from typing import Any

from processor.core.ticket import Finished
from processor.shell.rebalances import Rebalances
from tests.simulation.mutating import Patch, mutation
from tests.simulation.redis_twin import SimSet
from tests.simulation.scenarios_redis import an_old_dump_key_by_key
from tests.simulation.scenarios_unknown import (
    a_doubt_in_a_lost_set_and_a_commit_that_never_was,
    a_refusal_and_a_commit_that_never_was,
)

__all__: list[str] = []


@mutation(story=an_old_dump_key_by_key)
def an_older_count_of_grants_is_as_good(patch: Patch) -> None:
    """A dump that was loaded under everybody's feet has the right marker, and an older count in it."""

    def whole(self: Any, _seen: int) -> bool:
        return self.run != "" and self.marker.run == self.run

    patch.setattr(SimSet, "_is_whole_here", whole)


@mutation(story=a_doubt_in_a_lost_set_and_a_commit_that_never_was)
def what_ses_took_is_freed_with_the_rest(patch: Patch) -> None:
    """Outcomes of an unknown end: those that SES took, or may have taken, keep their claim."""
    patch.setattr(Finished, "not_sent", True)


@mutation(story=a_refusal_and_a_commit_that_never_was)
def what_an_unknown_end_did_not_record_stays_barred(patch: Patch) -> None:
    """Until the bar's lifetime has passed, and somebody has asked for its letter."""
    patch.setattr(Rebalances, "_free", lambda *_: None)
