"""docs/guarantee.md says which test proves what: each is there, and in `make test`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/guarantee.md"
NAMED = re.compile(r"`(tests/[a-z_/]+\.py)::(test_\w+)`(?P<verb> \(`make [a-z-]+`\))?")


def named() -> list[tuple[str, str]]:
    """Files and tests of the page; those beside which another verb of make stands are that verb's."""
    found = [match for match in NAMED.finditer(PAGE.read_text()) if not match["verb"]]
    return sorted({(match[1], match[2]) for match in found})


def is_long(node: ast.AST) -> bool:
    return "pytest.mark.long" in ast.unparse(node) and "parametrize" not in ast.unparse(node)


def test_the_page_is_read() -> None:
    """It names many, and every test that it speaks of by a path."""
    text = PAGE.read_text()
    assert len(named()) > 60
    assert len(re.findall(r"tests/[a-z_/]+\.py::", text)) == len(list(NAMED.finditer(text)))


@pytest.mark.parametrize(("path", "name"), named())
def test_each_proof_is_there_and_tried_by_default(path: str, name: str) -> None:
    """Some of a test's cases may be long, the test itself may not."""
    tree = ast.parse((ROOT / path).read_text())
    (test,) = [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) and n.name == name]
    assert not any(map(is_long, test.decorator_list)), f"{name} is only in `make test-all`"
    assert not any(isinstance(n, ast.Assign) and is_long(n) for n in tree.body), f"{path} is only in `make test-all`"
