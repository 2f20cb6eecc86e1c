"""Rows from a CSV file: UTF-8, a header, RFC 4180 quoting."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

from producer.sources import Row
from schemas.errors import SourceError

__all__ = ["CsvFile"]


_NEEDED = ("user_id", "email")
_NO_CSV = -1
"""Stands for the last line of a record that is no CSV; its only cell says why."""


class CsvFile:
    """See `producer.sources.Source` for the laws. Raises `SourceError` when the file as a whole is unusable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as content:
                self.snapshot = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()[:32]}"
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from error
        self.name = path.name
        self._header = self._read_header()

    def _read_header(self) -> list[str]:
        with self._path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            try:
                header = [name.strip() for name in next(csv.reader(lines), [])]
            except csv.Error as error:
                raise SourceError(f"{self._path}: line 1 is no CSV header: {error}") from None
        if missing := [name for name in _NEEDED if name not in header]:
            raise SourceError(
                f"{self._path}: line 1 lacks the column {', '.join(missing)}; a header user_id,email,… is needed"
            )
        if repeated := {name for name in header if header.count(name) > 1}:
            raise SourceError(f"{self._path}: line 1 names a column twice: {', '.join(sorted(repeated))}")
        return header

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
