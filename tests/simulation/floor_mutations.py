"""Guarding lines of months that are closed for good, each taken out by a patch."""

from __future__ import annotations

from msgspec.structs import replace

import processor.shell.intake
import processor.shell.past
from processor.core.floor import Clocks
from processor.core.gates import Gates
from processor.core.ticket import Finished
from processor.recovery.lineage import Lineages
from schemas.runtime.errors import Halted
from tests.simulation.dedup import Scripts
from tests.simulation.mutating import Patch, mutation
from tests.simulation.scenarios_floor import (
    a_clock_a_year_ahead,
    a_letter_of_a_closed_month_once,
    closed_between_intent_and_claim,
    redis_lost_after_a_month_was_closed,
    the_fourteenth_month,
    the_retention_is_raised_after_a_month_expired,
)

__all__: list[str] = []


@mutation(story=closed_between_intent_and_claim)
def a_claim_is_granted_below_the_floor(patch: Patch) -> None:
    patch.setattr(Scripts, "below", lambda *_: False)


@mutation(story=a_letter_of_a_closed_month_once)
def nobody_asks_the_ledger_of_a_closed_month(patch: Patch) -> None:
    patch.setattr(processor.shell.past, "skipped", lambda *_: None)


@mutation(story=the_retention_is_raised_after_a_month_expired)
def the_age_of_a_job_decides(patch: Patch) -> None:
    """As in 0.1, and the set believes whoever asks it."""
    first = processor.shell.intake.first_month
    patch.setattr(processor.shell.intake, "first_month", lambda _floor, *about: first("", *about))
    patch.setattr(Scripts, "below", lambda *_: False)


@mutation(story=the_fourteenth_month)
def what_is_too_old_counts_for_the_breaker(patch: Patch) -> None:
    note = Gates.note

    def counting(self: Gates, finished: Finished) -> Halted | None:
        ticket = replace(finished.attempt.ticket, past=False)
        return note(self, replace(finished, attempt=replace(finished.attempt, ticket=ticket)))

    patch.setattr(Gates, "note", counting)


@mutation(story=redis_lost_after_a_month_was_closed)
def a_rebuild_knows_no_floor(patch: Patch) -> None:
    async def nothing(_self: Lineages) -> str:
        return ""

    patch.setattr(Lineages, "_floor", nothing)


@mutation(story=a_clock_a_year_ahead)
def any_clock_is_right(patch: Patch) -> None:
    """The one that is ahead is believed."""
    patch.setattr(Clocks, "apart", "")
    patch.setattr(Clocks, "month", property(lambda _: "2099-12"))
