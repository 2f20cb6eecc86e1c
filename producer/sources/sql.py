"""Rows of a database, by an SQLAlchemy URL and a query file, over a server-side cursor."""

from __future__ import annotations

import csv
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from producer.sources import Asked, Source
from producer.sources.columns import read_query
from producer.sources.csv_file import CsvFile
from producer.sources.spool import Spool
from schemas.runtime.errors import SourceError

__all__ = ["open_database"]

_AT_ONCE = 5000
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "mysql": "mysql+pymysql"}


class _Result(CsvFile):
    """A result that was written down once; a row's line is its number and one for the header."""

    def __init__(self, spool: Spool, path: Path, asked: Asked, name: str) -> None:
        self._spool = spool
        super().__init__(path, asked, name=name)


def open_database(uri: str, asked: Asked) -> Source:
    """``postgresql://user@host/database?query=FILE.sql``; the query may hold ``:month``.

    The rows go to a temporary file first, so that both looks at them see the same. Raises `SourceError`.
    """
    try:
        import sqlalchemy
    except ImportError:
        raise SourceError("databases need the extra mailonce[sql]") from None
    address, query_file = _split(uri)
    query = read_query(query_file)
    spool = Spool()
    path = spool.folder / "result.csv"
    values = {"month": asked.month} if ":month" in query else {}
    try:
        # Without a pool: one connection, closed when the rows are here.
        engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
        with engine.connect().execution_options(stream_results=True, yield_per=_AT_ONCE) as connection:
            result = connection.execute(sqlalchemy.text(query), values)
            with path.open("w", newline="", encoding="utf-8") as out:
                writer = csv.writer(out)
                writer.writerow(result.keys())
                for count, batch in enumerate(result.partitions(_AT_ONCE), 1):
                    writer.writerows(["" if value is None else str(value) for value in row] for row in batch)
                    asked.say(f"{count * _AT_ONCE:,} rows")
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        # The address holds a password: SQLAlchemy's own text of it does not.
        raise SourceError(f"{query_file}: {str(error).partition(chr(10))[0]}") from None
    return _Result(spool, path, asked, Path(query_file).name)


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
