"""What the topics keep, taken out rule by rule."""

from __future__ import annotations

from processor.core.kept import Kept
from schemas.topics import PATIENCE_MS, Topics, TopicSpec
from tests.simulation.mutating import Patch, mutation
from tests.simulation.scenarios_kept import (
    a_bad_record_outlasts_its_letter,
    a_closed_month_outlasts_the_ledger,
    an_intent_older_than_a_campaign,
    jobs_outlast_the_ledger,
    the_last_day_of_an_open_month,
)

__all__: list[str] = []


@mutation(story=jobs_outlast_the_ledger)
def a_job_counts_as_long_as_it_lies_there(patch: Patch) -> None:
    patch.setattr(Kept, "job_is_over", lambda *_: False)


@mutation(story=a_closed_month_outlasts_the_ledger)
def a_ledger_that_forgot_is_believed(patch: Patch) -> None:
    patch.setattr(Kept, "outcome_is_gone", lambda *_: False)


@mutation(story=a_bad_record_outlasts_its_letter)
def a_letter_that_is_gone_was_never_written(patch: Patch) -> None:
    patch.setattr(Kept, "letter_is_gone", lambda *_: False)


@mutation(story=an_intent_older_than_a_campaign)
def intents_go_after_a_campaign(patch: Patch) -> None:
    """As in 0.1."""
    _kept(patch, "attempts", PATIENCE_MS)


@mutation(story=the_last_day_of_an_open_month)
def jobs_go_with_the_year(patch: Patch) -> None:
    _kept(patch, "jobs", 365 * 86_400_000)


def _kept(patch: Patch, name: str, kept_ms: int) -> None:
    specs = Topics.specs

    def other(self: Topics) -> list[TopicSpec]:
        shorter = {"retention.ms": str(kept_ms)}
        return [
            TopicSpec(spec.name, spec.config | shorter, spec.partitions)
            if spec.name == f"{self.prefix}{name}"
            else spec
            for spec in specs(self)
        ]

    patch.setattr(Topics, "specs", other)
