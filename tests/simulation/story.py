"""How a history is written down and played, and what many of them have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.audit import Audit
from tests.simulation.process import floor
from tests.simulation.world import World

__all__ = [
    "KEPT",
    "LONG_AGO_S",
    "MONTHS_MS",
    "SCENARIOS",
    "Scenario",
    "breaks",
    "done",
    "drain",
    "evidence_dies_at",
    "forget_offsets",
    "keeps",
    "play",
    "publish",
    "raise_the_floor",
    "replay",
    "sent",
    "until",
]

Story = Callable[[World, Audit], Awaitable[list[str] | None]]
MONTHS_MS = 92 * 86_400_000
"""From the month of the story to the one in which December of the year before is closed."""
LONG_AGO_S = 6.0
"""Longer than a processor is given to know a newer record."""


@dataclass(frozen=True)
class Scenario:
    story: Story
    breaks: str
    """what the audit must say: a regular expression"""
    rule: str
    """the rule that forbids it"""
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.story.__name__


SCENARIOS: list[Scenario] = []
"""They break the promise."""
KEPT: list[Scenario] = []
"""They broke it once."""


def breaks(what: str, rule: str, **made: Any) -> Callable[[Story], Story]:
    def note(story: Story) -> Story:
        SCENARIOS.append(Scenario(story, what, rule, made))
        return story

    return note


def keeps(what: str, rule: str, **made: Any) -> Callable[[Story], Story]:
    """A history that showed `what` until the rule came into force."""

    def note(story: Story) -> Story:
        story.made = made  # type: ignore[attr-defined]
        KEPT.append(Scenario(story, what, rule, made))
        return story

    return note


def play(scenario: Scenario, *, told: bool = False) -> tuple[list[str], list[str]]:
    """The findings of a scenario, and its history."""
    with World.made(1, **scenario.made) as world:
        audit = Audit(world, strict=True)
        found = world.run(scenario.story(world, audit)) or []
        found += audit.findings()
        return found, world.net.history.lines() if told or not found else []


async def until(world: World, condition: Callable[[], bool], limit_s: float = 60.0) -> bool:
    until_s = world.loop.time() + limit_s
    while not condition() and world.loop.time() < until_s:
        await asyncio.sleep(0.1)
    return condition()


async def done(world: World, limit_s: float = 60.0) -> bool:
    """Waits until no job is pending."""
    return await until(world, lambda: not world.pending(), limit_s)


async def drain(world: World, slot: str = "drain", **how: Any) -> list[str]:
    process = world.start(slot, drain=True, **how)
    await until(world, lambda: process.dead)
    if process.left != "":
        return [f"G2 {slot} did not drain: {process.left}"]
    if pending := world.pending():
        return [f"G2 {slot} ended well though {len(pending)} jobs have no outcome"]
    return []


async def replay(world: World, name: str = "replay-1", **how: Any) -> list[str]:
    return await drain(world, "r", group=name, **how)


def publish(world: World, count: int, **how: Any) -> None:
    for number in range(count):
        world.publish(f"u{number}", **how)


async def sent(world: World, count: int = 4) -> None:
    publish(world, count)
    world.start("p0")
    assert await done(world)
    await asyncio.sleep(1)


def forget_offsets(world: World) -> None:
    """What an idle week does."""
    for process in world.processes:
        process.die()
    group = world.kafka.group("mailonce")
    group.members.clear()
    group.forget_offsets()


async def raise_the_floor(world: World, slot: str = "floor", **how: Any) -> str:
    """As `mailonce produce` and `mailonce dedup floor` do; returns how it ended, empty for a good end."""
    process = world.start(slot, floor, **how)
    await until(world, lambda: process.dead)
    return process.left or ""


async def evidence_dies_at(world: World, step: str, nth: int = 1) -> None:
    """One mail is sent, and evidence dies at this step of its events."""
    world.when("ev", step, nth, lambda process: process.die())
    world.start_evidence()
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(4)
