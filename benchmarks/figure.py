"""A measured figure beside its goal; how figures are printed and kept."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.bench import say

__all__ = ["RESULTS", "Figure", "keep", "show"]

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    value: float
    unit: str
    goal: float | None = None
    at_most: bool = False
    """the goal is a ceiling, not a floor"""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def show(figures: Iterable[Figure]) -> None:
    table = Table("", "measured", "goal", "", pad_edge=False)
    for figure in figures:
        goal = "" if figure.goal is None else f"{'at most' if figure.at_most else 'at least'} {_number(figure.goal)}"
        mark = {None: "", True: "[green]reached[/]", False: "[red]missed[/]"}[figure.reached]
        table.add_row(figure.what, f"{_number(figure.value)} {figure.unit}", goal, mark)
    say(table)


def keep(name: str, figures: Iterable[Figure]) -> Path:
    """Into ``benchmarks/results/NAME.json``, with what this machine is; figures that were not measured now stay."""
    machine = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text())["figures"] if path.exists() else []
    rows = {row["what"]: row for row in kept}
    rows |= {figure.what: asdict(figure) | {"reached": figure.reached} for figure in figures}
    path.write_text(json.dumps({"machine": machine, "figures": list(rows.values())}, indent=2) + "\n")
    return path


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}".rstrip("0").rstrip(".")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
