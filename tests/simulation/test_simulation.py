"""The promise in every reachable state of a small world, deep random walks, and that broken protocols are caught."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulation.explore import explore, main, walk
from tests.simulation.model import Rules, first_world
from tests.simulation.mutations import MUTATIONS, Mutation

SETTINGS: dict[str, dict[str, Any]] = {
    "two jobs, one fault": {"faults": 1},
    "two jobs, one refused, one fault": {"faults": 1, "rejects": 1},
    "one job, two faults": {"faults": 2, "jobs": 1},
}
WALKED: dict[str, dict[str, Any]] = {"two jobs": {}, "one refused": {"rejects": 1}, "resends": {"resends": True}}
WALKS = 1000
# The decisions are covered by their own tests; here coverage would only take time.
pytestmark = pytest.mark.no_cover


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """States refer to no one who refers to them: a collector would look at all of them in vain."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_state_keeps_the_promise(setting: str) -> None:
    """G1 to G4 in every state that faults at any moment can lead to. `make proof` takes one fault more."""
    found = explore(first_world(**SETTINGS[setting]), Rules())
    assert not found.violation, str(found)
    assert found.complete
    assert found.at_rest > 100


@pytest.mark.parametrize("setting", WALKED)
def test_deep_random_walks(setting: str) -> None:
    """G1 to G4 along long walks with many faults, each repeatable by its seed."""
    ended = 0
    for seed in range(WALKS):
        found = walk(first_world(5, **WALKED[setting]), Rules(), seed)
        assert not found.violation, f"seed {seed}: {found.violation}: {' > '.join(found.trace)}"
        ended += found.at_rest
    assert ended > WALKS // 2, "most walks must come to rest, or the end was never looked at"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_is_caught(mutation: Mutation) -> None:
    """A checker that cannot fail proves nothing: each broken protocol is found out."""
    first = first_world(mutation.faults, jobs=1, resends=mutation.resends)
    found = explore(first, mutation.rules())
    assert found.violation, str(found)


def test_the_same_seed_walks_the_same_way() -> None:
    """A failure can be repeated."""
    one, two = (walk(first_world(4), Rules(), 7) for _ in range(2))
    assert one.trace == two.trace


def test_the_explorer_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It prints how many states and transitions it saw."""
    assert main(["--faults", "0", "--faults-of-two", "0", "--walks", "5"]) == 0
    assert "states" in capsys.readouterr().out
