"""What a mutant is: one place of the source said otherwise, and the test that must notice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MUTANTS", "ROOT", "Mutant", "mutants"]

SERVERS = {"browser", "contracts", "fuzz", "integration"}
"""Folders of tests that start servers."""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """In `path` stands `instead` where `line` stood, and `test` fails."""

    test: str
    """As pytest names it, one case in brackets where that is enough; -k's expression behind a blank chooses among many."""
    path: str
    line: str
    """Occurs once in its file."""
    instead: str

    @property
    def proof(self) -> str:
        """The test as docs/guarantee.md names it."""
        return self.test.split(" ")[0].split("[")[0]

    @property
    def name(self) -> str:
        return self.proof.partition("::test_")[2]

    @property
    def needs_servers(self) -> bool:
        return self.test.split("/")[1] in SERVERS

    def broken(self) -> str:
        """The file's text with the line taken out."""
        text = (ROOT / self.path).read_text()
        assert text.count(self.line) == 1, f"{self.path} holds it {text.count(self.line)} times: {self.line}"
        return text.replace(self.line, self.instead)


MUTANTS: list[Mutant] = []


def mutants(file: str, told: Iterable[tuple[str, str, str, str]]) -> None:
    """Notes mutants for the tests of one file: each the test's name, the source's path, the line, what stands instead."""
    MUTANTS.extend(Mutant(f"{file}::{test}", path, line, instead) for test, path, line, instead in told)
