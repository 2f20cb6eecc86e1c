"""The claims of docs/guarantee.md: each row of a table, or paragraph, that names a test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutants.mutant import ROOT

__all__ = ["Claim", "claims"]

_PROOF = re.compile(r"`(tests/[a-z_/]+\.py::test_\w+)`((?:\s+\((?:`\w+`(?:, )?)+\))?)")


@dataclass(frozen=True)
class Claim:
    """What is promised, and what proves it."""

    text: str
    proofs: frozenset[str]
    """tests"""
    histories: frozenset[str]
    """scenarios and mutations of the simulator that stand behind them in brackets"""

    @property
    def name(self) -> str:
        return self.text[:70]


def claims() -> list[Claim]:
    """In the page's order."""
    return list(_claims((ROOT / "docs/guarantee.md").read_text()))


def _claims(page: str) -> Iterator[Claim]:
    for block in page.split("\n\n"):
        lines = block.splitlines()
        rows = lines if block.startswith("|") else [block]
        for row in rows:
            if found := _PROOF.findall(row):
                text = row.split("|")[1].strip() if row.startswith("|") else " ".join(row.split())
                named = {name for _, brackets in found for name in re.findall(r"`(\w+)`", brackets)}
                yield Claim(text, frozenset(proof for proof, _ in found), frozenset(named))
