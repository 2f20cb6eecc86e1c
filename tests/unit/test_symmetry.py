"""The explorer takes worlds that are alike for one: whatever may follow from one of them follows from all."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.simulation.model import Rules, World, canonical, first_world, steps
from tests.simulation.model_symmetry import interchangeable, swapped

pytestmark = pytest.mark.no_cover

WORLDS: dict[str, dict[str, Any]] = {
    "two users": {"faults": 4},
    "one refused": {"faults": 4, "rejects": 1},
    "sent again by policy": {"faults": 3, "resends": True},
    "published again": {"faults": 4, "jobs": 1, "again": True},
}
WALKS, STEPS = 8, 120


def after(world: World) -> set[World]:
    return {canonical(following) for _, following in steps(world, Rules())}


@pytest.mark.parametrize("kind", WORLDS)
def test_what_stands_for_a_world_goes_where_it_goes(kind: str) -> None:
    """A canonical form that forgot something that matters would hide whatever follows from it."""
    swaps = 0
    for seed in range(WALKS):
        chance, world = random.Random(seed), first_world(**WORLDS[kind])
        for _ in range(STEPS):
            here, one = after(world), canonical(world)
            assert after(one) | {one} == here | {one}
            if interchangeable(world):
                swaps += 1
                assert canonical(swapped(world)) == one
                assert after(swapped(world)) | {one} == here | {one}
            moves = [following for _, following in steps(world, Rules()) if following != world]
            if not moves:
                break
            world = chance.choice(moves)
    assert (swaps > WALKS * 10) is (kind == "two users")


def test_swapping_twice_changes_nothing() -> None:
    """Users, offsets, attempts and what is settled: each is where it was."""
    for seed in range(WALKS):
        chance, world = random.Random(seed), first_world(4)
        for _ in range(STEPS):
            world = canonical(world)
            assert canonical(swapped(swapped(world))) == world
            moves = [following for _, following in steps(world, Rules()) if following != world]
            if not moves:
                break
            world = chance.choice(moves)
