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
                    yield Row(line, {}, f"not readable as CSV: {error}")
                    continue
                if cells:
                    yield self._row(line, reader.line_num, cells)

    def _row(self, line: int, last_line: int, cells: list[str]) -> Row:
        problem, text = None, "".join(cells)
        if len(cells) != len(self._header):
            problem = f"{len(cells)} fields, the header has {len(self._header)}"
            if last_line > line:
                problem += f" (the row goes on to line {last_line}: is a quote left open?)"
        elif not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text):
            problem = "not UTF-8"
        elif "\0" in text:
            problem = "holds a NUL character"
        return Row(line, dict(zip(self._header, cells, strict=False)), problem, tuple(cells))
