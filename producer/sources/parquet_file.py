"""Rows from a Parquet file: every column as text, as DuckDB writes it; missing values are empty."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb

from producer.sources import Row
from schemas.errors import SourceError

__all__ = ["ParquetFile"]

_NEEDED = ("user_id", "email")
_AT_ONCE = 4096


class ParquetFile:
    """See `producer.sources.Source` for the laws; a row's line is its number, from 1. Raises `SourceError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name
        with path.open("rb") as content:
            self.snapshot = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()[:32]}"
        try:
            with closing(duckdb.connect()) as database:
                described = database.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        except duckdb.Error as error:
            raise SourceError(f"{path} is no Parquet file: {error}") from None
        self._columns = [str(column[0]) for column in described]
        if missing := [name for name in _NEEDED if name not in self._columns]:
            raise SourceError(f"{path} lacks the column {', '.join(missing)}; user_id, email, … are needed")

    def rows(self) -> Iterator[Row]:
        columns = self._columns
        for number, values in enumerate(self._read("COLUMNS(*)"), 1):
            yield Row(number, dict(zip(columns, values, strict=True)), _problem(values), values)

    def user_ids(self) -> Iterator[tuple[int, str]]:
        for number, (user_id,) in enumerate(self._read("user_id"), 1):
            yield number, user_id

    def _read(self, columns: str) -> Iterator[tuple[str, ...]]:
        # DuckDB keeps a file's order by default; the numbers of rows rest on it.
        query = f"SELECT coalesce({columns}::VARCHAR, '') FROM read_parquet(?)"  # noqa: S608 - words of this module's own
        with closing(duckdb.connect(config={"preserve_insertion_order": True})) as database:
            found = database.execute(query, [str(self._path)])
            while values := found.fetchmany(_AT_ONCE):
                yield from values


def _problem(values: tuple[str, ...]) -> str | None:
    return "holds a NUL character" if any("\0" in value for value in values) else None
