"""A short chaos run, and that a seed means one schedule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.__main__ import summary, write_report
from tests.chaos.plan import FAULTS, make_plan
from tests.chaos.run import Servers, run_seed


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("chaos"))
    yield servers
    servers.close()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 11))
def test_a_short_chaos_run(servers: Servers, tmp_path: Path, seed: int) -> None:
    """G1, G2, G4: whatever happens in whatever order, the audit finds nothing."""
    result = run_seed(servers, make_plan(seed, users=600))
    assert result.good, result.line()
    write_report(tmp_path / "report.json", [result])
    assert json.loads((tmp_path / "report.json").read_text())["seeds"][0]["duplicates"] == 0
    assert "1 seeds, 1 good" in summary([result])


def test_a_seed_is_a_schedule() -> None:
    """The same seed makes the same plan; many seeds make every kind of fault."""
    assert make_plan(7) == make_plan(7)
    assert make_plan(7) != make_plan(8)
    kinds = {step.what for seed in range(50) for step in make_plan(seed).steps}
    assert len(kinds) >= len(FAULTS)
