"""Rows by DuckDB: Parquet and JSON files, and any SQL over files. Every value as text; missing ones are empty."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb

from producer.sources import Asked, Row, Source, check_columns
from producer.sources.spool import Spool
from schemas.runtime.errors import SourceError

__all__ = ["ColumnsFile", "digest_of", "open_query", "read_query"]

_AT_ONCE = 4096
_READERS = {".parquet": "read_parquet(?)", ".json": "read_json_auto(?)", ".jsonl": "read_json_auto(?)"}


def digest_of(path: Path) -> str:
    """A file's snapshot."""
    try:
        with path.open("rb") as content:
            return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()[:32]}"
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error


class ColumnsFile:
    """See `producer.sources.Source` for the laws; a row's line is its number, from 1. Raises `SourceError`."""

    def __init__(self, path: Path, asked: Asked, *, name: str = "", snapshot: str = "") -> None:
        self._path = path
        self._reader = _READERS[path.suffix]
        self.name = name or path.name
        self.snapshot = snapshot or digest_of(path)
        try:
            with closing(duckdb.connect()) as database:
                described = database.execute(f"DESCRIBE FROM {self._reader}", [str(path)]).fetchall()
        except duckdb.Error as error:
            raise SourceError(f"{path} cannot be read as {path.suffix[1:]}: {_short(error)}") from None
        own = [str(column[0]) for column in described]
        self._columns = [asked.renames.get(name, name) for name in own]
        check_columns(self.name, self._columns)
        self._quoted = ['"{}"::VARCHAR'.format(name.replace('"', '""')) for name in own]

    def rows(self) -> Iterator[Row]:
        columns = self._columns
        for number, values in enumerate(self._read(", ".join(f"coalesce({column}, '')" for column in self._quoted)), 1):
            yield Row(number, dict(zip(columns, values, strict=True)), _problem(values), values)

    def user_ids(self) -> Iterator[tuple[int, str]]:
        # Looked through by DuckDB: Python would take three times as long for columns that this look does not need.
        user = self._quoted[self._columns.index("user_id")]
        unreadable = f"contains(concat({', '.join(self._quoted)}), chr(0))"
        found = self._read(f"CASE WHEN {unreadable} THEN '' ELSE coalesce({user}, '') END")
        yield from enumerate((values[0] for values in found), 1)

    def _read(self, what: str) -> Iterator[tuple[str, ...]]:
        # DuckDB keeps a file's order by default; the numbers of rows rest on it.
        query = f"SELECT {what} FROM {self._reader}"  # noqa: S608 - this module's words, and columns' quoted names
        with closing(duckdb.connect(config={"preserve_insertion_order": True})) as database:
            try:
                found = database.execute(query, [str(self._path)])
                while values := found.fetchmany(_AT_ONCE):
                    yield from values
            except duckdb.Error as error:
                raise SourceError(f"{self._path}: {_short(error)}") from None


def _problem(values: tuple[str, ...]) -> str | None:
    return "holds a NUL character" if "\0" in "".join(values) else None


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0]


def read_query(place: str) -> str:
    """A query file's text. Raises `SourceError`."""
    try:
        return Path(place).read_text(encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{place}: {error.strerror}; the query's file is needed") from error


class _Spooled(ColumnsFile):
    """A result that was written down once, so that both looks at it see the same rows."""

    def __init__(self, spool: Spool, path: Path, asked: Asked, name: str) -> None:
        self._spool = spool
        super().__init__(path, asked, name=name)


def open_query(uri: str, asked: Asked) -> Source:
    """``duckdb:///query.sql``: SQL over files, with ``$month``. The result is written down before a row is read."""
    place = unquote(urlsplit(uri).path)
    query = read_query(place if Path(place).is_file() else place.lstrip("/"))
    spool = Spool()
    path = spool.folder / "result.parquet"
    values = {"month": asked.month} if "$month" in query else {}
    try:
        with closing(duckdb.connect()) as database:
            database.execute(f"COPY ({query.rstrip().rstrip(';')}) TO '{path}' (FORMAT parquet)", values)
    except duckdb.Error as error:
        raise SourceError(f"{place}: {_short(error)}") from None
    return _Spooled(spool, path, asked, Path(place).name)
