"""The real shell on simulated servers: random histories keep the promise, and those that break it are known by name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation import (
    adoption_mutations,
    answers_mutations,
    checkpoint_mutations,
    engine_mutations,
    events_mutations,
    floor_mutations,
    kept_mutations,
    presence_mutations,
    rebuild_mutations,
    settling_mutations,
    shell_mutations,
    withdraw_mutations,
)
from tests.simulation.mutating import MUTATIONS, SURVIVORS, Mutation, caught
from tests.simulation.scenarios import KEPT, SCENARIOS, Scenario, play
from tests.simulation.simulate import main, simulate

TOLD_IN = (
    adoption_mutations,
    answers_mutations,
    checkpoint_mutations,
    engine_mutations,
    events_mutations,
    floor_mutations,
    kept_mutations,
    presence_mutations,
    rebuild_mutations,
    settling_mutations,
    shell_mutations,
    withdraw_mutations,
)
ROOT = Path(__file__).parents[2]
SEEDS = 300
PORTION = 50
uncovered = pytest.mark.no_cover
"""The histories by name and a few at random cover the engine; more of them would only take time under a tracer."""


@uncovered
@pytest.mark.parametrize("first", range(1, SEEDS + 1, PORTION))
def test_random_histories_keep_the_promise(first: int) -> None:
    """G1 to G6 after kills, stalls, lost answers, wipes, rebalances and people, all by one seed each."""
    happened = 0
    for seed in range(first, first + PORTION):
        result = simulate(seed)
        assert not result.findings, "\n".join([*result.lines, result.line()])
        happened += result.happened
    assert happened > 5 * PORTION, "without faults nothing is proved"


class Broken(AssertionError):
    """The promise is broken in the way that the scenario names."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.xfail(strict=True, raises=Broken, reason="the rule that forbids it is not in force yet")
def test_nothing_breaks_the_promise(scenario: Scenario) -> None:
    """Each of these does, by the violation that it names; a cure turns it, and strictness then asks for its mark to go."""
    found, _ = play(scenario)
    if any(re.match(scenario.breaks, finding) for finding in found):
        raise Broken(f"{scenario.rule}: {found}")


@pytest.mark.parametrize("scenario", KEPT, ids=lambda scenario: scenario.name)
def test_what_broke_the_promise_once_keeps_it(scenario: Scenario) -> None:
    """The rule that forbids it is in force."""
    found, lines = play(scenario)
    assert not found, "\n".join([*lines, *found])


@uncovered
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_of_the_shell_is_caught(mutation: Mutation) -> None:
    """A net that holds nothing proves nothing: each guarding line that is taken out is missed by some history."""
    assert caught(mutation), f"{mutation.name} survives"


def test_there_are_mutations_of_every_kind() -> None:
    """Each module told of its own; what survives says why."""
    assert len(MUTATIONS) >= 25
    assert {mutation.apply.__module__ for mutation in MUTATIONS} == {module.__name__ for module in TOLD_IN}
    assert all(SURVIVORS.values())


@uncovered
@pytest.mark.parametrize("seed", [3, 17])
def test_the_same_seed_is_the_same_history(seed: int) -> None:
    """To the last byte, whatever order hashes come in: a failure can be replayed."""
    command = [sys.executable, "-m", "tests.simulation.simulate", "--seed", str(seed), "--print"]
    told = [
        subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": hashing}, capture_output=True, check=True
        ).stdout
        for hashing in ("1", "2")
    ]
    assert told[0] == told[1]
    assert len(told[0].splitlines()) > 100


def test_the_simulator_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It says how many seeds it ran, and how fast."""
    assert main(["--seeds", "4", "--processes", "1"]) == 0
    assert "4 seeds, 0 bad" in capsys.readouterr().out
