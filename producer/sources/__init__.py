"""Where rows come from: one small port, chosen by URI."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from schemas.runtime.errors import SourceError

__all__ = ["NEEDED", "Asked", "Row", "Source", "check_columns", "open_source"]

NEEDED = ("user_id", "email")


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row: its place in the source, its values, or why it cannot be read."""

    line: int
    values: dict[str, str]
    problem: str | None = None
    raw: tuple[str, ...] = ()
    file: str = ""
    """which of a source's files, when it has several"""
    number: int = 0
    """of the row in all files, when there are several: lines alone do not tell rows apart then"""

    @property
    def place(self) -> int:
        """What tells this row from every other of its source."""
        return self.number or self.line


class Source(Protocol):
    """Rows that stay the same for as long as the snapshot does.

    Laws: `rows` may be called again and gives the same rows in the same order; memory stays flat; a row that cannot be
    read is given with its problem and stops nothing.
    """

    @property
    def name(self) -> str: ...

    @property
    def snapshot(self) -> str:
        """Changes when the content does."""
        ...

    def rows(self) -> Iterator[Row]: ...

    def user_ids(self) -> Iterator[tuple[int, str]]:
        """Each row's place and user id, in order: a first look for users who stand there twice.

        The id of a row that cannot be read is empty.
        """
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted of a source beside its address."""

    month: str = ""
    """for ``:month`` in a query"""
    renames: Mapping[str, str] = field(default_factory=dict)
    """column as the source names it: as mailonce does"""
    say: Callable[[str], None] = lambda _text: None
    """told how a slow source comes along"""


def check_columns(where: str, columns: list[str]) -> None:
    """Raises `SourceError` for columns without a user or an address, or with a name that stands there twice."""
    if missing := [name for name in NEEDED if name not in columns]:
        raise SourceError(
            f"{where} lacks the column {', '.join(missing)}; user_id, email and the template's data are needed (it has "
            f"{', '.join(columns) or 'none'}; --map user_id=NAME renames one)"
        )
    if repeated := {name for name in columns if columns.count(name) > 1}:
        raise SourceError(f"{where} names a column twice: {', '.join(sorted(repeated))}")


_SQL_SCHEMES = ("postgresql", "postgres", "mysql", "mariadb", "sqlite")


def open_source(uri: str, asked: Asked | None = None) -> Source:
    """The source at `uri`. Raises `SourceError`.

    A path or ``file://`` or ``s3://`` (CSV, Parquet, JSON; globs and prefixes too), ``duckdb:///query.sql``,
    ``athena://DATABASE?query=FILE.sql&output=s3://…``, or an SQLAlchemy URL with ``?query=FILE.sql``.
    """
    asked = asked or Asked()
    scheme = urlsplit(uri).scheme
    if len(scheme) <= 1 or scheme in {"file", "s3"}:
        from producer.sources.files import open_files

        return open_files(uri, asked)
    if scheme == "duckdb":
        from producer.sources.columns import open_query

        return open_query(uri, asked)
    if scheme == "athena":
        from producer.sources.athena import open_athena

        return open_athena(uri, asked)
    if scheme.partition("+")[0] in _SQL_SCHEMES:
        from producer.sources.sql import open_database

        return open_database(uri, asked)
    raise SourceError(
        f"no source is known for {scheme}://; there are files (CSV, Parquet, JSON), s3://, duckdb:///query.sql, "
        f"athena://, and postgresql:// or mysql:// with ?query=FILE.sql"
    )
