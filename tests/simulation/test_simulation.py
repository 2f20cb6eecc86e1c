"""The promise in every reachable state of a small world, deep random walks, and that broken protocols are caught."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from processor.core.batch import Batch, Batches
from processor.core.due import DueQueue
from processor.core.engine import Engine
from processor.core.ticket import Finished
from tests.simulation.explore import explore, main, walk
from tests.simulation.machine import forget
from tests.simulation.model import Rules, first_world
from tests.simulation.mutations import MUTATIONS, Mutation

SETTINGS: dict[str, dict[str, Any]] = {
    "two jobs, one fault": {"faults": 1},
    "two jobs, one refused, one fault": {"faults": 1, "rejects": 1},
    "one job, two faults": {"faults": 2, "jobs": 1},
    "one job, no events, two faults": {"faults": 2, "jobs": 1, "feed": False},
    "one job published again, one fault": {"faults": 1, "jobs": 1, "again": True},
}
uncovered = pytest.mark.no_cover
"""The histories of the shell cover the engine: these would only take time under a tracer."""
LARGE = {"two jobs, one fault", "one job, two faults"}
"""Half a million transitions: only in `make test-all` and, with more, in `make proof`."""
DEEP = {"AWithdrawalFreesTheKey", "DeleteTheEventFirst"}
"""They take three faults to show. `tests/unit/test_rebuild.py` holds the one, a mutation of the shell the other."""
WALKED: dict[str, dict[str, Any]] = {
    "two jobs": {},
    "one refused": {"rejects": 1},
    "resends": {"resends": True},
    "one published again": {"again": True},
}
WALKS = 300
"""`make proof` walks 5000."""


def _settled_at_once(self: Engine, finished: Finished) -> None:
    ticket = finished.attempt.ticket
    ticket.window.settle(ticket.record.offset)
    self._start_next(ticket)


def _submitted_all_the_same(self: Engine, batch: Batch) -> None:
    self.due.submit(batch.intended)


# The decisions are covered by their own tests; here coverage would only take time.
pytestmark = pytest.mark.no_cover


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """States refer to no one who refers to them: a collector would look at all of them in vain."""
    gc.disable()
    yield
    gc.enable()


@uncovered
@pytest.mark.parametrize(
    "setting", [pytest.param(name, marks=pytest.mark.long) if name in LARGE else name for name in SETTINGS]
)
def test_every_state_keeps_the_promise(setting: str) -> None:
    """G1 to G4 in every state that faults at any moment can lead to. `make proof` takes one fault more."""
    found = explore(first_world(**SETTINGS[setting]), Rules())
    assert not found.violation, str(found)
    assert found.complete
    assert found.at_rest > 100


@uncovered
@pytest.mark.parametrize("setting", WALKED)
def test_deep_random_walks(setting: str) -> None:
    """G1 to G4 along long walks with many faults, each repeatable by its seed."""
    ended = 0
    for seed in range(WALKS):
        found = walk(first_world(5, **WALKED[setting]), Rules(), seed)
        assert not found.violation, f"seed {seed}: {found.violation}: {' > '.join(found.trace)}"
        ended += found.at_rest
    assert ended > WALKS // 2, "most walks must come to rest, or the end was never looked at"


@uncovered
@pytest.mark.parametrize(
    "mutation",
    [pytest.param(one, marks=pytest.mark.long) if one.name in DEEP else one for one in MUTATIONS],
    ids=lambda mutation: mutation.name,
)
def test_every_mutation_is_caught(mutation: Mutation) -> None:
    """A checker that cannot fail proves nothing: each broken protocol is found out."""
    first = first_world(mutation.faults, jobs=1, resends=mutation.resends)
    found = explore(first, mutation.rules())
    assert found.violation, str(found)


BROKEN: dict[str, tuple[object, str, Any, dict[str, Any]]] = {
    "what aborted is not intended again": (Batches, "aborted", lambda *_: None, {"faults": 1}),
    "the next of a key never starts": (
        Engine,
        "_start_next",
        lambda self, ended: self._order.end(ended),
        {"faults": 0, "again": True},
    ),
    "an outcome is settled before it is recorded": (Engine, "end", _settled_at_once, {"faults": 1}),
    "what aborted is called for all the same": (Engine, "aborted", _submitted_all_the_same, {"faults": 2}),
    "what the set of a lost partition accepted is not told": (
        Batches,
        "keep_facts",
        lambda *_: None,
        {"faults": 2, "feed": False},
    ),
    "what is given back is forgotten": (DueQueue, "put_back", lambda *_: None, {"faults": 1}),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_engine_is_caught(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is explored is the code that runs: a line taken out of it shows."""
    owner, name, instead, world = BROKEN[broken]
    monkeypatch.setattr(owner, name, instead)
    forget()
    try:
        found = explore(first_world(jobs=1, **world), Rules())
    finally:
        forget()
    assert found.violation, str(found)


def test_the_same_seed_walks_the_same_way() -> None:
    """A failure can be repeated."""
    one, two = (walk(first_world(4), Rules(), 7) for _ in range(2))
    assert one.trace == two.trace


def test_the_explorer_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It prints how many states and transitions it saw."""
    assert main(["--faults", "0", "--faults-of-two", "0", "--walks", "5"]) == 0
    assert "states" in capsys.readouterr().out
