"""``mailonce produce``."""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from producer.plan import OnDuplicate, Reject, Users, find_users, plan
from producer.publish import Publisher, jobs_of_month
from producer.sources import Asked, Source, open_source
from producer.sources.shaped import Condition, Shaped
from schemas.addresses import mask
from schemas.errors import UsageError
from schemas.records import Job
from schemas.settings import Settings

__all__ = ["EXIT_REJECTED", "Shape", "job_of", "jobs_of", "open_shaped", "produce", "sample"]

EXIT_REJECTED = 3


@dataclass(frozen=True, slots=True)
class Shape:
    """Which rows of a source, and by which names."""

    renames: Mapping[str, str] = field(default_factory=dict)
    conditions: Sequence[Condition] = ()
    limit: int | None = None


def open_shaped(uri: str, month: str, shape: Shape, console: Console) -> Source:
    """The source as the operator wants it seen; a slow one says how it comes along. Raises `SourceError`."""
    with console.status("opening the source") as line:
        source = open_source(uri, Asked(month, shape.renames, line.update))
    if shape.conditions or shape.limit is not None:
        return Shaped(source, shape.conditions, shape.limit)
    return source


def _as_it_stands(source: Source, month: str, template: str) -> Iterator[Job | Reject]:
    """The plan of one look: a user who stands there twice is two entries."""
    return plan(
        source.rows(),
        Users(0, {}),
        month=month,
        template=template,
        on_duplicate=OnDuplicate.LAST,
        source=source.name,
        snapshot=source.snapshot,
        now_ms=lambda: 0,
    )


def sample(source: Source, month: str, template: str, count: int) -> None:
    """Prints the first jobs as they would be published, addresses masked; publishes nothing."""
    planned = _as_it_stands(source, month, template)
    for entry in islice(planned, count):
        if isinstance(entry, Reject):
            print(json.dumps({"rejected": entry.reason, "detail": entry.detail, "line": entry.line}))  # noqa: T201
        else:
            shown = msgspec.to_builtins(entry) | {"email": mask(entry.email)}
            print(json.dumps(shown, ensure_ascii=False))  # noqa: T201 - the answer


def jobs_of(source: Source, month: str, template: str) -> Iterator[Job]:
    """The jobs of the rows that are not rejected, as they would be published."""
    return (entry for entry in _as_it_stands(source, month, template) if isinstance(entry, Job))


def job_of(source: Source, user: str, month: str, template: str) -> Job:
    """A user's job. Raises `UsageError` when the source has none, with the reason if his row is rejected."""
    planned = _as_it_stands(source, month, template)
    last: Job | Reject | None = None
    for entry in planned:
        of_user = entry.user_id if isinstance(entry, Job) else (user if user in entry.raw else "")
        last = entry if of_user == user else last
    if last is None:
        raise UsageError(f"{source.name} has no row of {user}")
    if isinstance(last, Reject):
        raise UsageError(f"{source.name}:{last.line}: {last.reason}: {last.detail}")
    return last


def _plain(name: str) -> str:
    """A source's name as part of a file's."""
    return "".join(char if char.isalnum() or char in "-_" else "-" for char in Path(name).stem).strip("-") or "source"


def produce(
    settings: Settings,
    *,
    month: str,
    source_uri: str,
    template: str,
    on_duplicate: OnDuplicate,
    rejects_file: Path | None,
    include_cancelled: bool,
    max_rate: float,
    dry_run: bool,
    as_json: bool,
    shape: Shape | None = None,
    warn_of: Callable[[int], None] = lambda _mails: None,
) -> int:
    """Publishes a month's jobs; returns the exit code: 0, or 3 when rows were rejected. `warn_of` is told how many."""
    console = Console(stderr=True)
    source = open_shaped(source_uri, month, shape or Shape(), console)
    rejects: list[Reject] = []
    with ExitStack() as stack:
        bars = stack.enter_context(_progress(console))
        look = bars.add_task("reading what is published", total=None)
        known = jobs_of_month(settings, month, lambda count: bars.update(look, completed=count))
        bars.update(look, total=max(len(known), 1), completed=max(len(known), 1))
        users = find_users(source.user_ids())
        publisher = Publisher(settings, known, include_cancelled, dry_run)
        task = bars.add_task("planning" if dry_run else "publishing", total=users.rows)
        planned = plan(
            source.rows(),
            users,
            month=month,
            template=template,
            on_duplicate=on_duplicate,
            source=source.name,
            snapshot=source.snapshot,
            now_ms=lambda: time.time_ns() // 1_000_000,
        )
        began = time.monotonic()
        for count, entry in enumerate(planned, 1):
            if isinstance(entry, Reject):
                rejects.append(entry)
            else:
                publisher.publish(entry)
            if max_rate > 0 and (ahead_s := publisher.published / max_rate - (time.monotonic() - began)) > 0:
                time.sleep(ahead_s)
            if count % 500 == 0 or max_rate > 0:
                bars.update(task, completed=count)
        bars.update(task, completed=users.rows)
        publisher.finish()
    if publisher.published:
        warn_of(publisher.published)
    written = None
    if rejects and not dry_run:
        written = rejects_file or Path(f"{_plain(source.name)}-{month}.rejects.csv")
        _write_rejects(written, rejects)
    facts: dict[str, Any] = {
        "month": month,
        "source": source.name,
        "snapshot": source.snapshot,
        "rows": users.rows,
        "published": publisher.published,
        "changed": publisher.changed,
        "unchanged": publisher.unchanged,
        "cancelled": publisher.cancelled,
        "rejected": len(rejects),
        "rejected_by_reason": dict(Counter(reject.reason for reject in rejects)),
        "rejects_file": str(written) if written else None,
        "dry_run": dry_run,
    }
    _report(console, facts, rejects, source.name, as_json=as_json)
    return EXIT_REJECTED if rejects else 0


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _write_rejects(path: Path, rejects: list[Reject]) -> None:
    """Reason first, then the row as it was."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out:
        writer = csv.writer(out)
        writer.writerow(["line", "reason", "detail", "row…"])
        for reject in rejects:
            place = f"{reject.file}:{reject.line}" if reject.file else reject.line
            writer.writerow([place, reject.reason, reject.detail, *reject.raw])


def _report(console: Console, facts: dict[str, Any], rejects: list[Reject], name: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))  # noqa: T201 - the answer
        return
    verb = "would be published" if facts["dry_run"] else "published"
    console.print(f"[bold]{facts['published']:,}[/] jobs {verb} for {facts['month']}", highlight=False)
    if facts["changed"]:
        console.print(f"  {facts['changed']:,} of them with changed content", highlight=False)
    if facts["unchanged"]:
        console.print(f"  {facts['unchanged']:,} unchanged, left as they are", highlight=False)
    if facts["cancelled"]:
        console.print(f"  {facts['cancelled']:,} were cancelled and stay so (--include-cancelled)", highlight=False)
    if not rejects:
        return
    console.print(f"[yellow]{len(rejects):,} rows rejected[/]", highlight=False)
    for reject in rejects[:20]:
        place = f"{reject.file or name}:{reject.line}"
        console.print(f"  {place}: {reject.reason}: {reject.detail}", highlight=False, markup=False)
    if len(rejects) > 20:
        console.print(f"  … and {len(rejects) - 20:,} more", highlight=False)
    if facts["rejects_file"]:
        console.print(f"  all of them, with their rows: {facts['rejects_file']}", highlight=False, markup=False)
