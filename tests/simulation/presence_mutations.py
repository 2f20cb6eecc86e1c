"""Guarding lines of heartbeats, of the grant count, and of what a start-over frees, each taken out by a patch."""

from __future__ import annotations

from typing import Any

from processor.core.control import Control, Presence, Tenure
from processor.core.starts import Starts
from processor.core.ticket import Finished
from processor.shell.rebalances import Rebalances
from tests.simulation.mutating import Patch, mutation
from tests.simulation.redis_twin import SimSet
from tests.simulation.scenarios_presence import (
    a_lapse_with_an_intent_that_others_withdrew,
    a_lineage_begun_beside_one_that_hears_late,
)
from tests.simulation.scenarios_redis import an_old_dump_key_by_key
from tests.simulation.scenarios_unknown import (
    a_doubt_in_a_lost_set_and_a_commit_that_never_was,
    a_refusal_and_a_commit_that_never_was,
)

__all__: list[str] = []


@mutation(story=a_lineage_begun_beside_one_that_hears_late)
def nobody_is_waited_for(patch: Patch) -> None:
    """Whoever begins a lineage reads and marks at once, whoever may still call under the one before."""
    patch.setattr(Control, "unaware", lambda *_: [])


@mutation(story=a_lineage_begun_beside_one_that_hears_late)
def a_heartbeat_lasts_for_ever(patch: Patch) -> None:
    patch.setattr(Presence, "current", lambda self, _now_s: self._until_s > float("-inf"))


@mutation(story=a_lapse_with_an_intent_that_others_withdrew)
def a_lapse_has_no_consequence(patch: Patch) -> None:
    """Intents are kept, and a tenure is as good after it: each by itself bars the call."""

    def tenure(self: Presence, control: Control, now_s: float) -> Tenure | None:
        return Tenure(control.newest) if control.newest and self.current(now_s) else None

    patch.setattr(Presence, "tenure", tenure)
    patch.setattr(Starts, "hold", lambda self, tenure: setattr(self, "tenure", tenure))


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
