"""How large the pieces are: ``python -m docs.shape [REVISION …]`` prints lines, and the longest of each kind.

Of the working tree, and beside it of older revisions. `tests/test_architecture.py` holds the bounds.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["OURS", "Piece", "pieces_of", "working_tree"]

ROOT = Path(__file__).parents[1]
OURS = ("mailonce", "schemas", "producer", "processor", "infra")
BESIDE = ("tests", "benchmarks", "docs")


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, function or class."""

    kind: str
    where: str
    """``path`` of a file, ``path:name`` of what stands in it"""
    lines: int
    fields: int = 0
    """of a class: those that are declared, and those that any method sets"""


def pieces_of(path: str, text: str) -> Iterator[Piece]:
    """The file, and every function and class in it."""
    yield Piece("file", path, text.count("\n"))
    for found in ast.walk(ast.parse(text)):
        if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Piece("function", f"{path}:{found.name}", _lines(found))
        elif isinstance(found, ast.ClassDef):
            yield Piece("class", f"{path}:{found.name}", _lines(found), len(_fields(found)))


def _lines(found: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    return (found.end_lineno or 0) - found.lineno + 1


def _fields(found: ast.ClassDef) -> set[str]:
    declared = {
        one.target.id for one in found.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }
    written = {
        one.attr
        for one in ast.walk(found)
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store) and ast.unparse(one.value) == "self"
    }
    return declared | written


def working_tree(*packages: str) -> Iterator[tuple[str, str]]:
    """Python files below these folders as they are: path and text."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def revision(name: str, *packages: str) -> Iterator[tuple[str, str]]:
    """The same as of a revision. Raises `CalledProcessError` for one that is not there."""
    listed = _git("ls-tree", "-r", "--name-only", name, *packages).splitlines()
    for path in listed:
        if path.endswith(".py"):
            yield path, _git("show", f"{name}:{path}")


def _git(*command: str) -> str:
    return subprocess.run(["git", *command], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def _largest(pieces: Sequence[Piece], kind: str, *, fields: bool = False) -> str:
    found = max(
        (piece for piece in pieces if piece.kind == kind), key=lambda piece: piece.fields if fields else piece.lines
    )
    size = found.fields if fields else found.lines
    return f"{size} (`{found.where.rpartition('/')[2]}`)"


def column(files: dict[str, str]) -> list[tuple[str, str]]:
    """What is said of a tree: (row, figure)."""
    pieces = [piece for path, text in files.items() for piece in pieces_of(path, text)]
    ours = [piece for piece in pieces if piece.where.startswith(OURS)]
    engine = [piece for piece in ours if piece.kind == "class" and _of_engine(piece.where)]
    lines = {
        folder: sum(text.count("\n") for path, text in files.items() if path.startswith(f"{folder}/"))
        for folder in (*OURS, *BESIDE)
    }
    return [
        ("lines of our packages", f"{sum(lines[folder] for folder in OURS):,}"),
        *((f"- `{folder}/`", f"{count:,}") for folder, count in lines.items()),
        ("longest file of ours", _largest(ours, "file")),
        ("longest function of ours", _largest(ours, "function")),
        ("longest class of ours", _largest(ours, "class")),
        ("longest class of engine and shell", _largest(engine, "class")),
        ("most fields in engine and shell", _largest(engine, "class", fields=True)),
    ]


def _of_engine(where: str) -> bool:
    """0.1 had its engine in the processor's own folder."""
    folder = where.rpartition("/")[0]
    return folder in {"processor", "processor/core", "processor/shell"}


def main() -> None:
    columns = [column(dict(revision(name, *OURS, *BESIDE))) for name in sys.argv[1:]]
    columns.append(column(dict(working_tree(*OURS, *BESIDE))))
    heads = [*sys.argv[1:], "now"]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    lines += [f"| {row[0][0]} | {' | '.join(figure for _, figure in row)} |" for row in zip(*columns, strict=True)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
