"""Guarding lines of the rebuild and of what follows from it, each taken out by a patch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

import processor.core.checkpoint
import processor.core.claims
import processor.core.decide
import processor.recovery.lineage
import processor.recovery.rebuild
from processor.core.claims import folded
from processor.core.lapses import Lapses
from processor.core.standing import Entry
from processor.core.starts import Starts
from processor.core.states import State
from processor.core.ticket import Finished
from processor.ports import ServerSeen
from processor.recovery.rebuild import Rebuilt
from tests.simulation.dedup import Marker, Scripts
from tests.simulation.mutating import Patch, mutation, survives
from tests.simulation.mutation_stories import (
    cancelled_corrected_killed_and_lost,
    closed_in_another_partition,
    lost_again_while_it_is_rebuilt,
)
from tests.simulation.redis_twin import SimSet
from tests.simulation.scenarios_kafka import partitions_grow_over_a_doubt_and_redis_lost
from tests.simulation.scenarios_rebuild import (
    a_claim_that_ended_comes_back,
    a_withdrawn_claim_comes_back,
    flushed_while_it_is_rebuilt,
    killed_in_a_rebuild,
)
from tests.simulation.scenarios_redis import (
    a_clock_ahead_and_redis_lost,
    a_server_that_tells_no_id,
    redis_back_with_what_ended_before_the_call,
)

__all__: list[str] = []


@mutation(story=cancelled_corrected_killed_and_lost)
def a_rebuild_forgets_the_intents(patch: Patch) -> None:
    patch.setattr(processor.recovery.rebuild, "folded", lambda entries, _intents: folded(entries))


@mutation(only=("flushed", "wiped_by_a_restart", "replayed"))
def the_set_is_declared_whole_unread(patch: Patch) -> None:
    async def believe(*_about: Any) -> Rebuilt:
        return Rebuilt()

    patch.setattr(processor.recovery.lineage, "restore_all", believe)


@mutation(story=cancelled_corrected_killed_and_lost)
def an_open_intent_after_closed_is_not_restored(patch: Patch) -> None:
    called = processor.core.claims._callable

    def closed(opened: Any, known: Entry, entries: Any) -> Any:
        return [] if known.state is State.CLOSED else called(opened, known, entries)

    patch.setattr(processor.core.claims, "_callable", closed)


@mutation(story=closed_in_another_partition)
def another_partitions_close_hides_an_intent(patch: Patch) -> None:
    called = processor.core.claims._callable

    def hides(opened: Any, known: Entry, entries: Any) -> Any:
        return called([replace(intent, partition=known.job[0]) for intent in opened], known, entries)

    patch.setattr(processor.core.claims, "_callable", hides)


@mutation(story=a_claim_that_ended_comes_back, alone=True)
def a_letter_frees_no_claim(patch: Patch) -> None:
    _only_ended(patch, lambda name, withdrawn: name in withdrawn)


@mutation(story=a_withdrawn_claim_comes_back, alone=True)
def a_withdrawal_frees_no_claim(patch: Patch) -> None:
    """It takes the intent back, as before, and says no more."""
    _only_ended(patch, lambda name, withdrawn: name not in withdrawn)


def _only_ended(patch: Patch, named: Callable[[str, set[str]], bool]) -> None:
    def fewer(entries: Any, intents: Any) -> Any:
        found, withdrawn = folded(entries, intents), {intent.attempt for _, intent in intents if intent.withdrawn}
        ended = found.ended.split() if found else []
        return found and found._replace(ended=" ".join(name for name in ended if named(name, withdrawn)))

    patch.setattr(processor.recovery.rebuild, "folded", fewer)
    patch.setattr(processor.core.checkpoint, "folded", fewer)


@mutation(story=a_claim_that_ended_comes_back, alone=True)
def a_rebuild_leaves_ended_claims(patch: Patch) -> None:
    restore = Scripts.restore
    patch.setattr(
        Scripts,
        "restore",
        lambda self, claim, known, place, _ended, now_ms: restore(self, claim, known, place, "", now_ms),
    )


@mutation(story=a_clock_ahead_and_redis_lost)
def a_restored_claim_counts_by_its_processors_clock(patch: Patch) -> None:
    restore = Scripts.restore
    patch.setattr(
        Scripts,
        "restore",
        lambda self, claim, known, place, ended, now_ms: restore(self, claim, known, place, ended, now_ms + 3_600_000),
    )


@mutation(story=partitions_grow_over_a_doubt_and_redis_lost)
def each_partition_is_folded_apart(patch: Patch) -> None:
    def apart(entries: Any, intents: Any) -> Any:
        last = (entries[-1:] + intents[-1:])[-1][0]
        return folded([one for one in entries if one[0] == last], [one for one in intents if one[0] == last])

    patch.setattr(processor.recovery.rebuild, "folded", apart)


@mutation(story=redis_back_with_what_ended_before_the_call)
def what_ended_before_hides_a_later_call(patch: Patch) -> None:
    restore = Scripts.restore
    patch.setattr(
        Scripts,
        "restore",
        lambda self, claim, known, place, ended, now_ms: restore(self, claim, known, (place[0], -1), ended, now_ms),
    )


@survives("what was intended under another tenure is taken back all the same, one by one, when its turn comes")
def what_was_not_called_for_is_kept(patch: Patch) -> None:
    """And restored for nobody, where two hold it."""
    patch.setattr(Starts, "renounce", lambda _self: [])
    _waits_for_all(patch)


@survives("under a new lineage every intent that was not called for is withdrawn, whoever else holds the key")
def a_claim_of_several_is_waited_for(patch: Patch) -> None:
    _waits_for_all(patch)


def _waits_for_all(patch: Patch) -> None:
    patch.setattr(processor.core.decide, "attempts_in", lambda _name: [])


@survives(
    "newer records are known before anything is intended, and a new lineage withdraws what is left; `test_engine` has it"
)
def what_is_passed_over_stays_open(patch: Patch) -> None:
    patch.setattr(Finished, "passed_over", False)


@mutation(story=lost_again_while_it_is_rebuilt)
def a_rebuild_counts_under_another_run(patch: Patch) -> None:
    patch.setattr(SimSet, "set_whole", _marked_by_anybody)


async def _marked_by_anybody(self: Any, _token: str, lineage: str = "", *_about: Any) -> bool:
    under = self.under()
    self.marker = Marker(under.installation, lineage or under.lineage, self.run)
    return True


@mutation(story=a_server_that_tells_no_id)
def a_server_without_an_id_is_taken_for_one(patch: Patch) -> None:
    async def server(self: Any) -> ServerSeen:
        return ServerSeen(self.run, self.marker.installation, self.marker.lineage, whole=self.marker.run == self.run)

    patch.setattr(SimSet, "server", server)
    patch.setattr(SimSet, "_is_whole_here", lambda self, _seen: self.marker.run == self.run)


@survives("a rebuild that another one came before marks an older lineage, which nobody believes either")
def the_mark_carries_no_token(patch: Patch) -> None:
    patch.setattr(SimSet, "set_whole", _marked_by_anybody)


@survives(
    "a rebuild that another one came before puts claims back under an older lineage; their attempts were withdrawn"
)
def chunks_carry_no_token(patch: Patch) -> None:
    async def extend_lock(self: Any, token: str, ttl_s: float) -> bool:
        return True

    patch.setattr(SimSet, "extend_lock", extend_lock)


@mutation(story=flushed_while_it_is_rebuilt)
def a_lost_lock_is_shrugged_off(patch: Patch) -> None:
    chunks_carry_no_token(patch)
    patch.setattr(SimSet, "set_whole", _marked_by_anybody)


@mutation(story=killed_in_a_rebuild)
def a_silent_process_is_waited_for_twice(patch: Patch) -> None:
    patch.setattr(Lapses, "silent", lambda *_: False)
