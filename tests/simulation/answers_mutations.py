"""Guarding lines of what follows on SES's answers, each taken out by a patch."""

from __future__ import annotations

import re

import processor.core.answered
import processor.core.answers
from processor.core.outage import Outage
from processor.core.suspects import Meaning, Suspects
from processor.core.ticket import Ticket
from tests.simulation.mutating import Patch, mutation
from tests.simulation.scenarios_answers import (
    a_clock_that_is_wrong,
    nobody_is_authorized,
    one_mail_is_not_authorized,
    paused_in_words,
    ses_cannot_be_reached_for_a_minute,
    ses_is_broken_for_a_minute,
    ses_takes_mails_and_tells_of_no_template,
)

__all__: list[str] = []


@mutation(story=ses_cannot_be_reached_for_a_minute)
def tries_are_counted_in_an_outage(patch: Patch) -> None:
    patch.setattr(Outage, "away", False)
    patch.setattr(Outage, "failing", False)


@mutation(story=ses_is_broken_for_a_minute)
def everybody_calls_in_an_outage(patch: Patch) -> None:
    patch.setattr(Outage, "room", lambda _self, _now_s, at_once, active: at_once - active)


@mutation(story=ses_is_broken_for_a_minute)
def doubts_of_an_outage_trip_the_breaker(patch: Patch) -> None:
    patch.setattr(Outage, "away", property(lambda _self: False))


@mutation(story=ses_takes_mails_and_tells_of_no_template)
def a_template_nobody_knows_needs_nothing(patch: Patch) -> None:
    patch.setattr(Ticket, "without_check", lambda self: self)


@mutation(story=one_mail_is_not_authorized)
def every_refusal_is_everybodys(patch: Patch) -> None:
    patch.setattr(Suspects, "meaning", lambda *_args, **_about: Meaning.EVERYBODYS)


@mutation(story=nobody_is_authorized)
def every_refusal_is_its_own(patch: Patch) -> None:
    patch.setattr(Suspects, "meaning", lambda *_args, **_about: Meaning.ITS_OWN)


@mutation(story=nobody_is_authorized)
def a_suspect_is_judged_by_what_was_accepted_before(patch: Patch) -> None:
    meaning = Suspects.meaning
    patch.setattr(Suspects, "meaning", lambda self, *about, **more: meaning(self, *about, **(more | {"before": 0})))


@mutation(story=paused_in_words)
def a_pause_is_known_by_its_code_alone(patch: Patch) -> None:
    patch.setattr(processor.core.answers, "_PAUSED", re.compile("(?!)"))


@mutation(story=a_clock_that_is_wrong)
def a_signature_may_be_refused_for_ever(patch: Patch) -> None:
    patch.setattr(processor.core.answered, "GiveUp", lambda _reason, detail: processor.core.answered.Resign(detail))
