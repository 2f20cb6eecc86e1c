"""Guarding lines of withdrawals, each step of their order among them, each taken out by a patch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import processor.recovery.withdraw
from processor.core.checkpoint import folded_on
from processor.core.claims import Intent
from processor.core.lapses import Lapses
from processor.core.states import ABSENT, Claim, State
from processor.core.withdraw import Withdrawn, after_silence
from processor.recovery.withdraw import Withdrawals
from tests.simulation.mutating import Patch, mutation
from tests.simulation.redis_twin import SimDedup
from tests.simulation.scenarios_withdraw import (
    a_live_process_waits_with_an_intent,
    called_between_the_look_and_the_silence,
    in_doubt_and_recorded_by_nobody,
    killed_in_a_call_beside_the_mover,
    months_go_on_behind_a_dead_process,
    sent_and_recorded_by_nobody,
    two_intents_of_nobody,
)

__all__: list[str] = []


@mutation(story=a_live_process_waits_with_an_intent)
def nobody_has_to_be_silent(patch: Patch) -> None:
    patch.setattr(Lapses, "never_calls", lambda *_: True)


@mutation(story=killed_in_a_call_beside_the_mover)
def the_set_is_not_asked(patch: Patch) -> None:
    patch.setattr(processor.recovery.withdraw, "after_silence", lambda _claim, intents: after_silence(ABSENT, intents))


@mutation(story=called_between_the_look_and_the_silence)
def the_set_is_asked_before_the_silence(patch: Patch) -> None:
    """What it said at first still counts."""
    said: dict[str, Claim] = {}
    left_behind = Withdrawals._left_behind

    def asked(self: Any, window: Any) -> Any:
        for one in window.open:
            claims = self._dedup._redis.at(self._dedup._address).set.claims
            said.setdefault(one.intent.attempt, claims.get(one.key, ABSENT))
        return left_behind(self, window)

    def follows(_claim: Claim, intents: Sequence[Intent]) -> Any:
        return after_silence(said[intents[0].attempt], intents)

    patch.setattr(Withdrawals, "_left_behind", asked)
    patch.setattr(processor.recovery.withdraw, "after_silence", follows)


@mutation(story=months_go_on_behind_a_dead_process)
def nobody_withdraws(patch: Patch) -> None:
    async def nothing(*_: Any) -> None: ...

    patch.setattr(Withdrawals, "look", nothing)


@mutation(story=sent_and_recorded_by_nobody)
def an_unrecorded_sent_is_withdrawn(patch: Patch) -> None:
    def follows(claim: Claim, intents: Sequence[Intent]) -> Any:
        return Withdrawn(intents) if claim.state is State.SENT else after_silence(claim, intents)

    patch.setattr(processor.recovery.withdraw, "after_silence", follows)


@mutation(story=sent_and_recorded_by_nobody)
def what_the_set_alone_knows_holds_nothing(patch: Patch) -> None:
    def held(claim: Claim, entries: Any, intents: Any) -> Any:
        found = folded_on(claim, entries, intents)
        return found.opened if found else ()

    patch.setattr("processor.core.window.held", held)


@mutation(story=in_doubt_and_recorded_by_nobody)
def a_claim_expires_for_readers_alone(patch: Patch) -> None:
    ask = SimDedup.__getattr__

    def asking(self: SimDedup, name: str) -> Any:
        call = ask(self, name)
        return (lambda *args: call(*args[:4])) if name == "follow" else call

    patch.setattr(SimDedup, "__getattr__", asking)


@mutation(story=two_intents_of_nobody)
def a_claim_of_nobody_is_withdrawn(patch: Patch) -> None:
    def follows(claim: Claim, intents: Sequence[Intent]) -> Any:
        return Withdrawn(intents) if claim.attempt.startswith("~") else after_silence(claim, intents)

    patch.setattr(processor.recovery.withdraw, "after_silence", follows)
