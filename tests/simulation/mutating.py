"""How a guarding line is taken out by a patch, and where a history is looked for that misses it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.simulation.audit import Audit
from tests.simulation.simulate import simulate, unknown
from tests.simulation.world import World

__all__ = ["MUTATIONS", "SURVIVORS", "Mutation", "Patch", "caught", "mutation", "survives"]

Patch = pytest.MonkeyPatch
Break = Callable[[Patch], None]
Story = Callable[[World, Audit], Awaitable[list[str] | None]]


@dataclass(frozen=True)
class Mutation:
    """One line taken out, and where to look: a story of its own, or so many seeds of some classes of faults."""

    apply: Break
    story: Story | None = None
    only: tuple[str, ...] = ()
    first: int = 1
    """The seed to begin with: one that was seen to catch it."""
    seeds: int = 40
    alone: bool = False
    """Nobody follows ledger and attempts: that would mend what the line is there for, a little later."""
    strict: bool = False
    """As for histories by name: nobody may be told of who was never published, newer records are known at once."""

    @property
    def name(self) -> str:
        return self.apply.__name__


MUTATIONS: list[Mutation] = []


def mutation(**where: Any) -> Callable[[Break], Break]:
    def note(apply: Break) -> Break:
        MUTATIONS.append(Mutation(apply, **where))
        return apply

    return note


SURVIVORS: dict[str, str] = {}


def survives(why: str) -> Callable[[Break], Break]:
    """No history shows it, for this reason."""

    def note(apply: Break) -> Break:
        SURVIVORS[apply.__name__] = why
        return apply

    return note


def caught(mutation: Mutation) -> str:
    """What a history finds of it that is good without it; empty when it survives."""
    if mutation.story is not None:
        made = getattr(mutation.story, "made", {}) | ({"follows": False} if mutation.alone else {})
        assert not (before := _told(mutation.story, made, strict=mutation.strict)), (
            f"the story is bad without the mutation: {before}"
        )
        with pytest.MonkeyPatch.context() as patch:
            mutation.apply(patch)
            return _told(mutation.story, made, strict=mutation.strict)
    for seed in range(mutation.first, mutation.first + mutation.seeds):
        with pytest.MonkeyPatch.context() as patch:
            mutation.apply(patch)
            result = simulate(seed, only=mutation.only)
        if result.findings and not simulate(seed, only=mutation.only).findings:
            return f"seed {seed}: {result.findings[0]}"
    return ""


def _told(story: Story, made: dict[str, Any], *, strict: bool) -> str:
    with World.made(1, **made) as world:
        audit = Audit(world, strict=strict)
        found = world.run(story(world, audit)) or []
        return "; ".join([*found, *unknown(world, audit.findings())])
