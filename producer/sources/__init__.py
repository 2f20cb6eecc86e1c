"""Where rows come from: one small reader a format, chosen by URI. Each is read once, into the staging."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from producer.rows import Row, Source
from schemas.runtime.errors import SourceError, UsageError

if TYPE_CHECKING:
    from producer.staging.staged import Staged

__all__ = ["Asked", "Row", "Source", "open_source"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted of a source beside its address."""

    month: str = ""
    """for ``:month`` in a query"""
    renames: Mapping[str, str] = field(default_factory=dict)
    """column as the source names it: as mailonce does"""
    say: Callable[[str], None] = lambda _text: None
    """told how a slow source comes along"""
    encoding: str = ""
    """of text without a mark; UTF-8 unless it is said"""


_SQL_SCHEMES = ("postgresql", "postgres", "mysql", "mariadb", "sqlite")


def open_source(uri: str, asked: Asked | None = None) -> Staged:
    """The rows at `uri`, read to the end. Raises `SourceError`.

    A path or ``file://`` or ``s3://`` (CSV, JSON, Parquet, Excel; globs, folders and prefixes too), ``-`` for standard
    input, ``duckdb:///query.sql``,
    ``athena://DATABASE?query=FILE.sql&output=s3://…``, or an SQLAlchemy URL with ``?query=FILE.sql``.
    """
    asked = asked or Asked()
    scheme = urlsplit(uri).scheme
    if len(scheme) <= 1 or scheme in {"file", "s3"}:
        from producer.sources.files import open_files

        return open_files(uri, asked)
    if asked.encoding:
        raise UsageError("--encoding is for files: what a query answers has its encoding")
    if scheme == "duckdb":
        from producer.sources.query import open_query

        return open_query(uri, asked)
    if scheme == "athena":
        from producer.sources.athena import open_athena

        return open_athena(uri, asked)
    if scheme.partition("+")[0] in _SQL_SCHEMES:
        from producer.sources.database import open_database

        return open_database(uri, asked)
    raise SourceError(
        f"no source is known for {scheme}://; there are files (CSV, JSON, Parquet, Excel), s3://, duckdb:///query.sql, "
        f"athena://, and postgresql:// or mysql:// with ?query=FILE.sql"
    )
