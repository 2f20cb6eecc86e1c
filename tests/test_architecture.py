"""Layers, generated documents and the shape of the repository, held by machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_layers_hold() -> None:
    """The arrows of docs/architecture.md point one way."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_generated_documents_are_fresh() -> None:
    """The diagram and the settings in docs/ are made from the code: `make docs` writes them anew."""
    from docs.generate import PARTS

    for path, make in PARTS.items():
        assert (ROOT / path).read_text() == make(), f"{path} is stale: run `make docs`"


def test_every_guarantee_names_a_test_that_exists() -> None:
    """docs/guarantee.md: each row names its test, and the test is there."""
    text = (ROOT / "docs/guarantee.md").read_text()
    named = re.findall(r"`(tests/[^`]+)`", text)
    assert len(named) >= 15
    for name in named:
        file, _, test = name.partition("::")
        assert f"def {test}(" in (ROOT / file).read_text(), f"docs/guarantee.md names {name}, which is not there"
