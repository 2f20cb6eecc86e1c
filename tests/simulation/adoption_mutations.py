"""Guarding lines of an adoption, of its refusals and of whose events prove something, each taken out by a patch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import processor.evidence.origin
import processor.recovery.adoption
import tests.simulation.process
from processor.core.adoption import Taken
from processor.core.evidence import Owner
from processor.core.states import State
from processor.recovery.lineage import Lineages
from schemas.records import Outcome
from tests.simulation.audit import Audit
from tests.simulation.mutating import Patch, mutation
from tests.simulation.mutation_stories import adopted_with_an_open_intent
from tests.simulation.scenarios_adoption import (
    adopted_while_a_processor_runs,
    kafka_lost_redis_kept_and_adopted,
    the_topic_is_recreated_and_adopted,
)
from tests.simulation.scenarios_redis import events_of_another_installation, two_clusters_on_one_redis
from tests.simulation.world import World

__all__: list[str] = []


def told(story: Callable[[World, Audit], Awaitable[list[str]]]) -> Callable[[World, Audit], Awaitable[None]]:
    """A scenario as a story: what it finds itself counts as well."""

    @wraps(story)
    async def play(world: World, audit: Audit) -> None:
        world.defects += await story(world, audit)

    return play


LOST = told(kafka_lost_redis_kept_and_adopted)
RECREATED = told(the_topic_is_recreated_and_adopted)
OTHERS = told(events_of_another_installation)


@mutation(story=told(two_clusters_on_one_redis))
def another_installations_set_is_taken(patch: Patch) -> None:
    patch.setattr(Lineages, "_refuse_foreign", lambda *_: None)
    patch.setattr(tests.simulation.process, "check_set", lambda *_: None)


@mutation(story=OTHERS)
def another_installations_event_proves(patch: Patch) -> None:
    patch.setattr(processor.evidence.origin, "owner", lambda *_: Owner.OURS)


@mutation(story=OTHERS)
def an_event_without_the_tag_proves(patch: Patch) -> None:
    patch.setattr(processor.evidence.origin.Attempts, "known", lambda _self, wanted: set(wanted))


@mutation(story=LOST)
def what_was_sent_is_not_told_to_the_ledger(patch: Patch) -> None:
    _untold(patch, Outcome.SENT)


@mutation(story=LOST)
def what_is_in_doubt_is_not_told_to_the_ledger(patch: Patch) -> None:
    _untold(patch, Outcome.UNCERTAIN)


def _untold(patch: Patch, outcome: Outcome) -> None:
    take_over = processor.recovery.adoption.take_over

    def silent(*about: Any, **how: Any) -> Taken:
        taken = take_over(*about, **how)
        return taken._replace(outcome=None) if taken.outcome is outcome else taken

    patch.setattr(processor.recovery.adoption, "take_over", silent)


@mutation(story=LOST)
def what_was_closed_in_the_set_stays_closed(patch: Patch) -> None:
    take_over = processor.recovery.adoption.take_over

    def keeps(claim: Any, known: Any, **how: Any) -> Taken:
        return Taken(claim) if claim.state is State.CLOSED else take_over(claim, known, **how)

    patch.setattr(processor.recovery.adoption, "take_over", keeps)


@mutation(story=RECREATED)
def the_ledgers_places_count_in_the_new_topic(patch: Patch) -> None:
    patch.setattr(processor.recovery.adoption, "nowhere", lambda delivery: delivery)


@mutation(story=adopted_with_an_open_intent)
def an_intent_without_a_claim_is_in_doubt(patch: Patch) -> None:
    take_over = processor.recovery.adoption.take_over
    patch.setattr(processor.recovery.adoption, "take_over", lambda claim, known, **_: take_over(claim, known))


@mutation(story=told(adopted_while_a_processor_runs))
def it_is_adopted_whoever_runs(patch: Patch) -> None:
    async def nobody(_self: Any) -> None: ...

    patch.setattr(processor.recovery.adoption.Adoption, "_refuse_running", nobody)
