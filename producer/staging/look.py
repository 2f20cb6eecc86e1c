"""A source looked at before its month: how it was read, what of it becomes no job, and which values look wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from producer.plan import OnDuplicate, Reject, verdict
from producer.staging.diff import Diff
from producer.staging.sql import literal
from producer.staging.staged import Staged
from producer.suspect import KINDS, suspicion

__all__ = ["Looked", "Seen", "look"]

_SHOWN = 60
# Whatever a suspicion can be about, and more: only such rows are looked at value by value.
_LOOSE = (
    r"(?i:null|\\N|nan|nat\b|none|<na>|undefined|object Object|[0-9]e[+-]?[0-9])|#[A-Z]|=\\?\"|\\u|&[a-z#]"
    r"|^\s|\s$|\"\s|\s\"|\\[nrt]|"
    "[\u00c2\u00c3\u00e2\ufffd\x7f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f\u2060\u3000\ufeff]|[\x01-\x1f]"
)


@dataclass(slots=True)
class Seen:
    """Something that occurs: how often, and where first."""

    count: int = 0
    place: str = ""
    """file and line"""
    detail: str = ""

    def add(self, place: str, detail: str) -> None:
        if not self.count:
            self.place, self.detail = place, detail if len(detail) <= _SHOWN else f"{detail[:_SHOWN]}…"
        self.count += 1

    def to_dict(self) -> dict[str, Any]:
        return {"count": self.count, "first": self.place, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is to know of a source."""

    source: str
    rows: int
    files: list[dict[str, Any]]
    """each with its name, rows and columns, and how it was read"""
    columns: list[str]
    suspicious: dict[tuple[str, str], Seen] = field(default_factory=dict)
    """by kind (`producer.suspect.KINDS`) and column"""
    rejected: dict[str, Seen] = field(default_factory=dict)
    """by reason"""
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        suspicious = [
            {"kind": kind, "column": column, "meaning": KINDS[kind], **seen.to_dict()}
            for (kind, column), seen in self.suspicious.items()
        ]
        return {
            "source": self.source,
            "rows": self.rows,
            "columns": self.columns,
            "files": self.files,
            "suspicious": suspicious,
            "rejected": [{"reason": reason, **seen.to_dict()} for reason, seen in self.rejected.items()],
            "notes": self.notes,
        }


def look(source: Staged, month: str, template: str) -> Looked:
    """Looks through all of it; nothing is compared with what is published."""
    looked = Looked(
        source.name, source.staging.count, list(_files(source)), source.columns(), notes=source.staging.notes
    )
    for row in source.read(f"SELECT * FROM ({source.wanted}) WHERE {_loosely()}"):
        for column, value in row.values.items():
            if row.problem is None and isinstance(value, str) and (kind := suspicion(value)):
                shown = "" if column == "email" else repr(value)
                looked.suspicious.setdefault((kind, column), Seen()).add(_place(source, row.file, row.line), shown)
    for reject in _rejects(source, month, template):
        looked.rejected.setdefault(reject.reason, Seen()).add(_place(source, reject.file, reject.line), reject.detail)
    return looked


def _loosely() -> str:
    one = f"regexp_matches({{}}, {literal(_LOOSE)})"
    return f"problem IS NULL AND ({' OR '.join(one.format(name) for name in ('user_id', 'email', 'data'))})"


def _place(source: Staged, file: str, line: int) -> str:
    return f"{file or source.name}:{line}"


def _files(source: Staged) -> Iterator[dict[str, Any]]:
    rows = f"SELECT file, count(*) FROM ({source.staging.placed('SELECT rowid + 1 AS number FROM rows')}) GROUP BY file"
    counts = dict(source.staging.cursor().execute(rows).fetchall())
    for number, (name, columns, _) in enumerate(source.staging.files):
        yield {
            "name": name,
            "rows": counts.get(number, 0),
            "columns": list(columns),
            **source.staging.told.get(name, {}),
        }


def _rejects(source: Staged, month: str, template: str) -> Iterator[Reject]:
    for one in Diff(source, month, template, None).doubtful():
        entry = verdict(
            one.row,
            one.last,
            month=month,
            template=template,
            on_duplicate=OnDuplicate.ERROR,
            source=source.name,
            snapshot=source.snapshot,
            now_ms=0,
        )
        if isinstance(entry, Reject):
            yield entry
