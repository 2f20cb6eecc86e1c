"""Layers, generated documents and the shape of the repository, held by machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES_MAX = 150
FIELDS_MAX = 12


def test_the_layers_hold() -> None:
    """The arrows of docs/architecture.md point one way."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_engine_is_made_of_small_classes() -> None:
    """What nobody can hold in their head is where the holes are: at most 150 lines and 12 fields a class."""
    engine = [*(ROOT / "processor/core").glob("*.py"), *(ROOT / "processor/shell").glob("*.py")]
    large = [
        f"{path.name}: {found.name}"
        for path in engine
        for found in ast.walk(ast.parse(path.read_text()))
        if isinstance(found, ast.ClassDef) and (_lines(found) > LINES_MAX or len(_fields(found)) > FIELDS_MAX)
    ]
    assert not large


def _lines(found: ast.ClassDef) -> int:
    return (found.end_lineno or 0) - found.lineno + 1


def _fields(found: ast.ClassDef) -> set[str]:
    """Those that are declared, and those that any method sets."""
    declared = {
        one.target.id for one in found.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }
    written = {
        one.attr
        for one in ast.walk(found)
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store) and ast.unparse(one.value) == "self"
    }
    return declared | written


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
