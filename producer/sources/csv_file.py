"""Rows from a CSV file: UTF-8, a header, RFC 4180 quoting."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from producer.sources import Asked, Row, check_columns
from producer.sources.columns import digest_of
from schemas.runtime.errors import SourceError

__all__ = ["CsvFile"]


_NO_CSV = -1
"""Stands for the last line of a record that is no CSV; its only cell says why."""


class CsvFile:
    """See `producer.sources.Source` for the laws. Raises `SourceError` when the file as a whole is unusable."""

    def __init__(self, path: Path, asked: Asked, *, name: str = "", snapshot: str = "") -> None:
        self._path = path
        self.snapshot = snapshot or digest_of(path)
        self.name = name or path.name
        self._header = [asked.renames.get(column, column) for column in self._read_header()]
        check_columns(f"{self.name}: line 1", self._header)

    def _read_header(self) -> list[str]:
        with self._path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            try:
                return [name.strip() for name in next(csv.reader(lines), [])]
            except csv.Error as error:
                raise SourceError(f"{self._path}: line 1 is no CSV header: {error}") from None

    def rows(self) -> Iterator[Row]:
        header = self._header
        for line, last_line, cells in self._records():
            problem = self._problem(line, last_line, cells)
            yield Row(line, dict(zip(header, cells, strict=False)), problem, tuple(cells))

    def user_ids(self) -> Iterator[tuple[int, str]]:
        column = self._header.index("user_id")
        for line, last_line, cells in self._records():
            yield line, "" if self._problem(line, last_line, cells) else cells[column]

    def _records(self) -> Iterator[tuple[int, int, list[str]]]:
        """First line, last line and cells of each record; see `_NO_CSV`."""
        # Bytes that are not UTF-8 survive as surrogates, so that only their row is refused.
        with self._path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            reader = csv.reader(lines)
            next(reader, None)
            while True:
                line = reader.line_num + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield line, _NO_CSV, [str(error)]
                    continue
                if cells:
                    yield line, reader.line_num, cells

    def _problem(self, line: int, last_line: int, cells: list[str]) -> str | None:
        if last_line == _NO_CSV:
            return f"not readable as CSV: {cells[0]}"
        if len(cells) != len(self._header):
            problem = f"{len(cells)} fields, the header has {len(self._header)}"
            if last_line > line:
                problem += f" (the row goes on to line {last_line}: is a quote left open?)"
            return problem
        text = "".join(cells)
        if not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text):
            return "not UTF-8"
        return "holds a NUL character" if "\0" in text else None
