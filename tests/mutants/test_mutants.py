"""Each claim of docs/guarantee.md goes red when the line that it speaks of is taken out.

In `make test`: every claim has a mutation, or stands by name with a reason. In `make test-all`: each mutant of the source
is run, in a copy; those of the simulator are run in `make test` (`tests/simulation/test_shell.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants.copy import Copy
from tests.mutants.mutant import Mutant
from tests.mutants.page import Claim, claims
from tests.mutants.table import MUTANTS
from tests.simulation.mutating import MUTATIONS as OF_THE_SHELL
from tests.simulation.mutations import MUTATIONS as OF_THE_MODEL
from tests.simulation.scenarios import KEPT
from tests.simulation.test_shell import TOLD_IN
from tests.support.stack import SessionStack, common_of

STANDS_ALONE = {
    "a month run by Airflow, twice": "its test needs an environment of its own (`make airflow`)",
    "decide letters and doubts from a web page": "a browser clicks what commands do; their rows have the mutants",
    "Kafka behind TLS with SCRAM": "what it speaks of are librdkafka's own settings",
    "The engine with all that drives it": "every mutation of the shell is one of its tests",
    "What version 0.1 does not keep": "each history there is expected to break the promise: one that keeps it fails",
}
"""Claims without a mutation, by their beginning, and why."""

STORIES = {mutation.story.__name__ for mutation in OF_THE_SHELL if mutation.story is not None}
"""Histories that a mutation of the shell turns."""
MUTATIONS = {mutation.name for mutation in (*OF_THE_SHELL, *OF_THE_MODEL)}
BY_PROOF = {mutant.proof for mutant in MUTANTS}


def uncaught(claim: Claim) -> bool:
    return not (claim.histories & (STORIES | MUTATIONS) or claim.proofs & BY_PROOF)


def test_every_claim_goes_red() -> None:
    """A row whose test nothing turns red proves nothing: each has a mutation, or stands by name with the reason."""
    alone = {name for claim in claims() if uncaught(claim) for name in STANDS_ALONE if claim.text.startswith(name)}
    assert alone == set(STANDS_ALONE), "a claim that has a mutation is no exception"
    others = [claim.text for claim in claims() if uncaught(claim) and not claim.text.startswith(tuple(STANDS_ALONE))]
    assert not others, "\n".join(others)


def test_every_history_is_there() -> None:
    """What stands in brackets behind a test of the simulator is a history or a mutation of it."""
    known = STORIES | MUTATIONS | {scenario.name for scenario in KEPT}
    for claim in claims():
        assert claim.histories <= known, f"{claim.text}: {claim.histories - known}"
    assert TOLD_IN, "whose mutations these are"


def test_every_proof_of_a_mutant_is_on_the_page() -> None:
    """A mutant that no claim needs is none of these."""
    assert not BY_PROOF - {proof for claim in claims() for proof in claim.proofs}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("copy"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_line_is_there(mutant: Mutant) -> None:
    """A mutant whose line has gone would be none."""
    assert mutant.broken() != mutant.line


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of one Kafka for all of them."""
    folder = tmp_path_factory.mktemp("kafka")
    stack = SessionStack(folder, common_of(folder))
    try:
        stack.up(("kafka",))
        yield stack.common
    finally:
        stack.down()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_line_that_is_taken_out_is_missed(mutant: Mutant, copied: Copy, request: pytest.FixtureRequest) -> None:
    """The test that docs/guarantee.md names fails without the line that its row speaks of."""
    common = request.getfixturevalue("kafka") if mutant.needs_servers else ""
    assert not (why := copied.missed(mutant, common)), why
