"""What came of it, as a table of conditions and steps. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Result", "failed", "notes", "table"]


@dataclass(frozen=True, slots=True)
class Result:
    """Of one step, or of a whole condition that was left out (without a step)."""

    python: str
    condition: str
    step: str
    state: str
    """``ok``, ``failed`` or ``skipped``."""
    seconds: float = 0.0
    note: str = ""

    @property
    def cell(self) -> str:
        return f"{self.state} {self.seconds:.0f} s" if self.seconds else self.state


def failed(results: Sequence[Result]) -> bool:
    """Also when nothing was tried."""
    return any(result.state == "failed" for result in results) or not any(result.state == "ok" for result in results)


def table(results: Sequence[Result]) -> str:
    """A row a condition; a step's name stands with its cell, since every condition has steps of its own."""
    rows: dict[tuple[str, str], list[str]] = {}
    for result in results:
        cells = rows.setdefault((result.python, result.condition), [])
        cells.append(f"{result.step}: {result.cell}" if result.step else f"{result.state}: {result.note}")
    head = ("Python", "condition")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [_line((*head, "steps"), widths)]
    for row, cells in rows.items():
        lines.append(_line((*row, "; ".join(cells)), widths))
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    *left, last = cells
    return "  ".join([*(cell.ljust(width) for cell, width in zip(left, widths, strict=True)), last])


def notes(results: Sequence[Result]) -> list[str]:
    """What failed, and where to read on."""
    return [
        f"{result.python} {result.condition}, {result.step}: {result.note}"
        for result in results
        if result.state == "failed"
    ]
