"""What a query answers: SQL over files by DuckDB; and what all queries have in common."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb

from producer.sources import Asked
from producer.sources.files import digest_of
from producer.sources.parquet import stage_parquet
from producer.staging.staged import Staged
from producer.staging.store import Staging, short
from schemas.runtime.errors import SourceError

__all__ = ["open_query", "read_query", "without_end"]

_TOKEN = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\s+|.", re.DOTALL)


def read_query(place: str) -> str:
    """A query file's text. Raises `SourceError`."""
    try:
        return Path(place).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{place}: {error.strerror}; the query's file is needed") from error


def without_end(query: str) -> str:
    """A query as it can stand in brackets: without the semicolon, the comments and the spaces that end it."""
    tokens = _TOKEN.findall(query)
    while tokens and (tokens[-1] == ";" or tokens[-1].isspace() or tokens[-1].startswith(("--", "/*"))):
        tokens.pop()
    return "".join(tokens)


def open_query(uri: str, asked: Asked) -> Staged:
    """``duckdb:///query.sql``: SQL over files, with ``$month``. The result is written down before a row is read."""
    place = unquote(urlsplit(uri).path)
    query = read_query(place if Path(place).is_file() else place.lstrip("/"))
    staging, name = Staging(asked.renames), Path(place).name
    staging.paths.append(Path(place))
    path = staging.folder.path / "result.parquet"
    values = {"month": asked.month} if "$month" in query else {}
    try:
        with closing(duckdb.connect()) as database:
            database.execute("SET TimeZone = 'UTC'")
            database.execute(f"COPY ({without_end(query)}\n) TO '{path}' (FORMAT parquet)", values)
    except duckdb.Error as error:
        raise SourceError(f"{place}: {short(error)}") from None
    stage_parquet(staging, path, name)
    return Staged(staging, name, digest_of(path))
