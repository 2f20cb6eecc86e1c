"""Guarding lines of what follows on SES's events: the brake, a month's first mails; each taken out by a patch."""

from __future__ import annotations

import processor.core.fresh
import processor.core.starts
import processor.shell.canary
from processor.core.brake import Undelivered
from processor.core.canary import Verdict
from processor.shell.brake import BrakeLever
from processor.shell.canary import CanaryGate
from tests.simulation.mutating import Patch, mutation
from tests.simulation.scenarios_events import (
    accepted_and_not_delivered,
    killed_while_the_first_are_waited_for,
    nobody_can_look,
    paused_and_resumed,
    the_first_arrive,
    the_first_bounce,
)

__all__: list[str] = []


@mutation(story=accepted_and_not_delivered)
def nobody_counts_what_is_dropped(patch: Patch) -> None:
    patch.setattr(Undelivered, "note", lambda *_: None)


@mutation(story=accepted_and_not_delivered)
def a_drain_waits_for_a_paused_month_for_ever(patch: Patch) -> None:
    patch.setattr(BrakeLever, "ends_drain", lambda _self: None)


@mutation(story=paused_and_resumed)
def a_paused_month_is_intended(patch: Patch) -> None:
    patch.setattr(processor.core.fresh, "is_paused", lambda *_: False)
    patch.setattr(processor.core.starts, "is_paused", lambda *_: False)


@mutation(story=the_first_arrive)
def each_process_has_first_mails_of_its_own(patch: Patch) -> None:
    places = CanaryGate._places

    async def own(self: CanaryGate, month: str, wanted: int) -> int:
        return await places(self, f"{month} of {self._who}", wanted)

    patch.setattr(CanaryGate, "_places", own)


@mutation(story=killed_while_the_first_are_waited_for)
def redis_alone_remembers_who_waits(patch: Patch) -> None:
    async def forgetful(self: CanaryGate, month: str, wanted: int) -> int:
        return await self._pace.take_first(month, wanted, self._rule.count)

    patch.setattr(CanaryGate, "_places", forgetful)


@mutation(story=the_first_bounce)
def the_first_always_pass(patch: Patch) -> None:
    patch.setattr(processor.shell.canary.canary, "judge", lambda *_args, **_about: Verdict(True, "whatever"))


@mutation(story=nobody_can_look)
def who_cannot_look_pauses(patch: Patch) -> None:
    judge = processor.shell.canary.canary.judge
    patch.setattr(processor.shell.canary.canary, "judge", lambda *args, **_about: judge(*args, feed_alive=True))
