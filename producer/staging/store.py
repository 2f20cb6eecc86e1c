"""The staging: one DuckDB file. Rows go in once, part by part; afterwards it is only read.

``rows`` holds id, address, the rest as the JSON object that will stand in the job, or why a row cannot be read. A
row's number is its ``rowid`` and one: nothing is ever deleted. ``places`` says from which number on a row's line is its
number and so much, and in which file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb

from producer.staging.spool import FIRST_LINE, Folder, Part
from producer.staging.sql import SETTINGS, cells_to_row, ready_to_row
from schemas.runtime.errors import MailonceError, SourceError

__all__ = ["Staging", "short"]

_TABLES = """
CREATE TABLE rows (user_id VARCHAR, email VARCHAR, data VARCHAR, problem VARCHAR);
CREATE TABLE places (first BIGINT, shift BIGINT, file INTEGER);
"""


def short(error: Exception) -> str:
    """An error's first line."""
    return str(error).partition("\n")[0]


class Staging:
    """What is written by a source's readers, and read by all that follows."""

    def __init__(self, renames: Mapping[str, str] | None = None) -> None:
        self.folder = Folder()
        self.renames = dict(renames or {})
        self.files: list[tuple[str, Sequence[str], Sequence[str]]] = []
        """each part's name, its own columns, and their names as asked for"""
        self.loose = False
        """whether rows of a file may lack some of its columns"""
        self.count = 0
        """rows so far"""
        self.paths: list[Path] = []
        """files of the operator's own that were read"""
        self.notes: list[str] = []
        """what the operator should know of how the source was read"""
        self.told: dict[str, dict[str, str]] = {}
        """how each file was read: format, compression, encoding, separator, sheet"""
        # Temporary files in the folder too: what does not fit into memory is as private as the rest.
        config = {**SETTINGS, "temp_directory": str(self.folder.path / "temp")}
        self._database = duckdb.connect(str(self.folder.path / "staging.duckdb"), config=config)
        self._database.execute("PRAGMA force_compression='uncompressed'")  # it is gone in a minute: twice as fast
        self._database.execute("SET TimeZone = 'UTC'")
        self._database.execute(_TABLES)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own: results of two do not disturb one another."""
        cursor = self._database.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def tell(self, name: str, **how: str) -> None:
        """Notes how a file is read."""
        self.told.setdefault(name, {}).update({word: value for word, value in how.items() if value})

    @contextmanager
    def part(self, name: str, columns: Sequence[str], *, ready: bool = False, skip: int = 0) -> Iterator[Part]:
        """What a reader writes a file's rows into; they are in the staging when the block ends.

        `columns` are the file's own names, behind `skip` that are no part of its rows; where rows come `ready` (id,
        address, the rest as a JSON object) they may grow meanwhile. Raises `MailonceError` when DuckDB has not taken
        what was written.
        """
        path = self.folder.path / f"part-{len(self.files)}"
        with path.open("wb", buffering=1 << 20) as out:
            out.write(FIRST_LINE.encode() + b"\n")
            names = [self.renames.get(own, own) for own in columns]
            part = Part(name, columns, out, self.count + 1, ready, skip, names)
            yield part
        self._load(part, path)
        path.unlink()

    def placed(self, rows: str) -> str:
        """SQL: rows that have a ``number``, in its order, with the ``file`` they stand in and their ``line``."""
        places = self.cursor().execute("SELECT first, shift, file FROM places ORDER BY first LIMIT 30").fetchall()
        if len(places) == 30:
            with_place = f"SELECT r.*, p.file, r.number + p.shift AS line FROM ({rows}) r ASOF JOIN places p"
            return f"{with_place} ON r.number >= p.first ORDER BY r.number"
        file, shift = "NULL::INTEGER", "NULL::BIGINT"
        for first, of_shift, of_file in places:  # the latest outermost
            file = f"CASE WHEN number >= {first} THEN {of_file} ELSE {file} END"
            shift = f"CASE WHEN number >= {first} THEN {of_shift} ELSE {shift} END"
        return f"SELECT *, {file} AS file, number + {shift} AS line FROM ({rows})"

    def _load(self, part: Part, path: Path) -> None:
        self.loose |= part.ready
        query = ready_to_row(path) if part.ready else cells_to_row(part.names, path, part.skip)
        self._insert(query, [], part.count, part.name)
        self._note(part, part.places)
        self.count += part.count

    def select(self, name: str, columns: Sequence[str], query: str, values: Sequence[Any], count: int) -> None:
        """`count` rows that a query gives in the table's own columns; a row's line is its number in this part."""
        self._insert(query, values, count, name)
        part = Part(name, columns, BytesIO(), names=[self.renames.get(own, own) for own in columns])
        self._note(part, [self.count + 1, -self.count])
        self.count += count

    def _insert(self, query: str, values: Sequence[Any], count: int, name: str) -> None:
        try:
            inserted = self._database.execute(f"INSERT INTO rows {query}", list(values)).fetchone()
        except duckdb.Error as error:
            raise SourceError(f"{name}: {short(error)}") from None
        if inserted is None or inserted[0] != count:
            raise MailonceError(f"{name}: {count:,} rows were read, and {inserted and inserted[0]} are staged")

    def _note(self, part: Part, places: Sequence[int]) -> None:
        file = len(self.files)
        self.files.append((part.name, part.columns, part.names))
        if len(places) <= 200:
            pairs = [(places[at], places[at + 1], file) for at in range(0, len(places), 2)]
            if pairs:
                self._database.executemany("INSERT INTO places VALUES (?, ?, ?)", pairs)
            return
        path = self.folder.path / "places"
        with path.open("w") as out:
            out.writelines(f"{places[at]},{places[at + 1]},{file}\n" for at in range(0, len(places), 2))
        columns = "{'first': 'BIGINT', 'shift': 'BIGINT', 'file': 'INTEGER'}"
        self._database.execute(f"INSERT INTO places FROM read_csv(?, header=false, columns={columns})", [str(path)])
        path.unlink()
