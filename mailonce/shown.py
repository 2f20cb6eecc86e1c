"""How answers are printed: JSON for programs, else lines, tables and, on standard error, bars.

Rich and json are imported by whoever prints with them: an answer in JSON does without the one, help without both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from schemas.records import Job

__all__ = ["bars", "console", "follow", "print_json", "row_of", "say", "table", "to_json", "utc"]


def to_json(answer: Any, *, plain: bool = False) -> str:
    """One line; in ASCII alone where it must be `plain`."""
    import json

    return json.dumps(answer, ensure_ascii=plain)


def print_json(answer: Any, *, plain: bool = False) -> None:
    print(to_json(answer, plain=plain))  # noqa: T201 - the answer


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr)


def say(*texts: str, markup: bool = True, soft_wrap: bool = False) -> None:
    """One line of the answer; nothing in it is coloured but what it marks itself."""
    console().print(*texts, highlight=False, markup=markup, soft_wrap=soft_wrap)


def table(*names: str, right: Iterable[int] = (), title: str | None = None) -> Table:
    """An empty table; `right` are the columns whose cells are numbers."""
    from rich.table import Table

    made = Table(*names, title=title)
    for column in right:
        made.columns[column].justify = "right"
    return made


def row_of(job: Job) -> str:
    """Where a source has a job's row; whose it is, where that is not known."""
    return f"{job.provenance.source}:{job.provenance.row}" if job.provenance else job.user_id


def utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def bars(*, share: bool = False, remaining: bool = False) -> Progress:
    """Bars on standard error, with what is done in numbers or as a share, and if wished the time that it will take."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    done = TaskProgressColumn() if share else MofNCompleteColumn()
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), done]
    return Progress(*columns, *([TimeRemainingColumn()] if remaining else []), console=console(stderr=True))


def follow(shown: Progress) -> Callable[[str, int, int | None], None]:
    """What is told of each step, how much of it is done and how much there is, as a bar a step."""
    steps: dict[str, TaskID] = {}

    def tell(step: str, done: int, total: int | None) -> None:
        if step not in steps:
            steps[step] = shown.add_task(step, total=total)
        shown.update(steps[step], completed=done, total=total)

    return tell
