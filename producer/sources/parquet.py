"""Rows that DuckDB reads by itself: Parquet files, and what a query over files has given."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec

from producer.sources.names import check_columns, header_of
from producer.sources.typed import Typed, check_id_type
from producer.staging.sql import literal
from producer.staging.store import Staging, short
from schemas.runtime.errors import SourceError

__all__ = ["stage_parquet"]


def stage_parquet(into: Staging, path: Path, name: str) -> None:
    """Reads a Parquet file into the staging; a row's line is its number. Raises `SourceError`."""
    relation = f"read_parquet({literal(str(path))})"
    try:
        described = into.cursor().execute(f"DESCRIBE FROM {relation}").fetchall()
        counted = into.cursor().execute(f"SELECT count(*) FROM {relation}").fetchone()
    except duckdb.Error as error:
        raise SourceError(f"{name} cannot be read as parquet: {short(error)}") from None
    assert counted is not None
    columns = [Typed(str(one[0]), str(one[1])) for one in described]
    names = [into.renames.get(own, own) for own in header_of(name, [one.name for one in columns])]
    check_columns(name, names)
    by_name = dict(zip(names, columns, strict=True))
    check_id_type(name, by_name["user_id"].name, by_name["user_id"].type)
    into.select(name, [one.name.strip() for one in columns], _rows(by_name, relation), (), int(counted[0]))


def _rows(columns: dict[str, Typed], relation: str) -> str:
    """SQL: the relation's rows as the staging has them."""
    data = [
        f"{literal(msgspec.json.encode(name).decode() + ':')} || {one.json}"
        for name, one in columns.items()
        if name not in {"user_id", "email"}
    ]
    texts = [one.text for one in columns.values()]
    problem = " ".join(f"WHEN contains({text}, chr(0)) THEN 'holds a NUL character'" for text in texts)
    # In nested values DuckDB writes what JSON does not know.
    for one in columns.values():
        if one.nested and ("DOUBLE" in one.type or "FLOAT" in one.type):
            problem += rf" WHEN regexp_matches({one.text}, '[:\[,]-?(NaN|Infinity|inf)')"
            problem += f" THEN {literal(f'{one.name}: holds a number that JSON cannot write (NaN, infinity)')}"
    user_id, email = (f"coalesce({columns[name].text}, '')" for name in ("user_id", "email"))
    cells = ", ".join(f"coalesce({text}, '')" for text in texts)
    whole = " || ',' || ".join(data) or "''"
    return f"""
        SELECT CASE WHEN problem IS NULL THEN {user_id} END, CASE WHEN problem IS NULL THEN {email} END,
               CASE WHEN problem IS NULL THEN '{{' || {whole} || '}}' ELSE to_json([{cells}])::VARCHAR END, problem
        FROM (SELECT *, CASE {problem} END AS problem FROM {relation})"""
