"""Rows of a database, by an SQLAlchemy URL and a query file, over a server-side cursor."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from producer.sources import Asked
from producer.sources.names import check_columns, header_of
from producer.sources.query import read_query, without_end
from producer.sources.typed import json_of, text_of
from producer.staging.spool import Part
from producer.staging.sql import CELL_CHARS_MAX
from producer.staging.staged import Staged
from producer.staging.store import Staging
from schemas.runtime.errors import SourceError

__all__ = ["open_database"]

_AT_ONCE = 5000
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "mysql": "mysql+pymysql"}
_encode = msgspec.json.Encoder().encode


def open_database(uri: str, asked: Asked) -> Staged:
    """``postgresql://user@host/database?query=FILE.sql``; the query may hold ``:month``. Raises `SourceError`."""
    try:
        import sqlalchemy
    except ImportError:
        raise SourceError("databases need the extra mailonce[sql]") from None
    address, query_file = _split(uri)
    query = without_end(read_query(query_file))
    name, staging = Path(query_file).name, Staging(asked.renames)
    values = {"month": asked.month} if ":month" in query else {}
    try:
        # Without a pool: one connection, closed when the rows are here.
        engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
        with engine.connect().execution_options(stream_results=True, yield_per=_AT_ONCE) as connection:
            result = connection.execute(sqlalchemy.text(query), values)
            names = header_of(name, list(result.keys()))
            check_columns(name, [staging.renames.get(own, own) for own in names])
            with staging.part(name, names, ready=True) as part:
                rows = _Rows(part, name)
                for count, batch in enumerate(result.partitions(_AT_ONCE), 1):
                    for row in batch:
                        rows.add(row)
                    asked.say(f"{count * _AT_ONCE:,} rows")
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        # The address holds a password: SQLAlchemy's own text of it does not.
        raise SourceError(f"{query_file}: {str(error).partition(chr(10))[0]}") from None
    return Staged(staging, name, rows.digest)


class _Rows:
    """Rows on their way into the staging; a row's line is its number."""

    def __init__(self, part: Part, where: str) -> None:
        self._part = part
        self._where = where
        self._hash = hashlib.sha256()
        names = list(part.names)
        self._user_id, self._email = names.index("user_id"), names.index("email")
        self._data = [
            (at, f"{_encode(name).decode()}:") for at, name in enumerate(names) if name not in {"user_id", "email"}
        ]
        self._number = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()[:32]}"

    def add(self, row: Sequence[Any]) -> None:
        """Raises `SourceError` for an id of a type that has no one text for a value."""
        self._number += 1
        user_id = row[self._user_id]
        if isinstance(user_id, float | dict | list | tuple | bytes | bytearray | memoryview):
            own = self._part.columns[self._user_id]
            raise SourceError(
                f"{self._where}: {own} is a {type(user_id).__name__}, which is no id: nobody can tell how its text "
                f"will look next month. Write CAST({own} AS …) AS {own} in the query, to a whole number or a text"
            )
        texts = [text_of(value) for value in row]
        self._hash.update("\x1f".join(texts).encode("utf-8", "surrogatepass"))
        self._hash.update(b"\n")
        if problem := _problem(texts):
            self._part.refuse(self._number, problem, texts)
            return
        data = ",".join(name + json_of(row[at]) for at, name in self._data)
        self._part.row(self._number, (texts[self._user_id], texts[self._email], f"{{{data}}}"))


def _problem(texts: Sequence[str]) -> str | None:
    if (longest := max(map(len, texts))) > CELL_CHARS_MAX:
        return f"a value of {longest} characters: at most {CELL_CHARS_MAX} are read"
    return "holds a NUL character" if any("\0" in text for text in texts) else None


def _split(uri: str) -> tuple[str, str]:
    """The address for SQLAlchemy, and the query's file."""
    address, _, asked = uri.partition("?")
    options = dict(parse_qsl(asked))
    query_file = options.pop("query", "")
    scheme, _, rest = address.partition("://")
    if not query_file:
        raise SourceError(f"{scheme}://…: name the query's file: ?query=FILE.sql")
    more = f"?{urlencode(options)}" if options else ""
    return f"{_DRIVERS.get(scheme, scheme)}://{rest}{more}", query_file
