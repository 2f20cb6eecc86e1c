"""How a value that is no text becomes text: the same from every source that has types, whatever the machine's settings.

Numbers plainly, without exponents; dates as ISO 8601 writes them; times of day with a zone in UTC; ``true`` and
``false``; bytes as hexadecimal digits; what is missing is empty. What holds other values stays JSON. Said twice: in SQL
for what DuckDB reads, in Python for what a database's driver gives. `docs/sources.md` has the table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from producer.staging.sql import column
from schemas.runtime.errors import SourceError

__all__ = ["Typed", "check_id_type", "json_of", "text_of"]

_encode = msgspec.json.Encoder(decimal_format="number").encode
_WITH_ZONE = "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True, slots=True)
class Typed:
    """A column as DuckDB describes it."""

    name: str
    type: str

    @property
    def nested(self) -> bool:
        return self.type.endswith("]") or self.type.startswith(("STRUCT", "MAP", "UNION", "VARIANT"))

    @property
    def text(self) -> str:
        """SQL: the value as text; NULL where it is missing."""
        own = column(self.name)
        if self.nested:
            return f"to_json({own})::VARCHAR"
        if self.type in {"DOUBLE", "FLOAT"}:
            return _plain(f"{own}::VARCHAR")
        if self.type == "BLOB":
            return f"lower(hex({own}))"
        if self.type == _WITH_ZONE:
            return f"CASE WHEN isfinite({own}) THEN {own}::VARCHAR || ':00' ELSE {own}::VARCHAR END"
        if self.type == "JSON":
            return f"CASE WHEN {self._holds} THEN {own}::VARCHAR ELSE {own} ->> '$' END"
        return f"{own}::VARCHAR"

    @property
    def json(self) -> str:
        """SQL: the value as it stands in the job, JSON; an empty text where it is missing."""
        if self.nested:
            return f"coalesce({self.text}, '\"\"')"
        if self.type == "JSON":
            own = column(self.name)
            return f"CASE WHEN {self._holds} THEN {own}::VARCHAR ELSE to_json(coalesce({own} ->> '$', '')) END"
        return f"to_json(coalesce({self.text}, ''))"

    @property
    def _holds(self) -> str:
        return f"json_type({column(self.name)}) IN ('OBJECT', 'ARRAY')"


def _plain(text: str) -> str:
    """SQL: a number's text without an exponent."""
    sign = f"CASE WHEN starts_with({text}, '-') THEN '-' ELSE '' END"
    digits = f"replace(split_part(ltrim({text}, '-'), 'e', 1), '.', '')"
    exponent = f"split_part({text}, 'e', 2)::INTEGER"
    whole = f"length(split_part(split_part(ltrim({text}, '-'), 'e', 1), '.', 1))"
    small = f"'0.' || repeat('0', -({exponent}) - {whole}) || {digits}"
    large = f"rpad({digits}, ({whole} + {exponent})::INTEGER, '0')"
    return (
        f"CASE WHEN NOT regexp_matches({text}, '[0-9]e') THEN {text} "
        f"WHEN {exponent} < 0 THEN {sign} || {small} ELSE {sign} || {large} END"
    )


def check_id_type(where: str, name: str, kind: str) -> None:
    """Raises `SourceError` for a column of ids whose type has no one text for a value; says what to write instead."""
    typed = Typed(name, kind)
    if kind in {"DOUBLE", "FLOAT"}:
        cast = f"CAST({name} AS BIGINT)"
    elif typed.nested or kind == "JSON":
        cast = f"one value of it, as in CAST({name}.id AS VARCHAR)"
    else:
        return
    raise SourceError(
        f"{where}: {name} is of type {kind}, which is no id: nobody can tell how its text will look next month. Write "
        f"{cast} AS {name} in a query, as in duckdb:///query.sql"
    )


def text_of(value: Any) -> str:
    """A value from a database's driver as text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f") if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, time):
        return _trimmed(value.isoformat())
    if isinstance(value, timedelta):
        return _span(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping | Sequence | set | frozenset):
        return json_of(value)
    return str(value)


def json_of(value: Any) -> str:
    """A value from a database's driver as it stands in the job, JSON."""
    return _encode(_nested(value)).decode()


def _nested(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {text_of(name): _within(one) for name, one in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes | bytearray | memoryview):
        return [_within(one) for one in value]
    return text_of(value)


def _within(value: Any) -> Any:
    """Inside an object or a list numbers, true, false and null are JSON's own."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal):
        return value if math.isfinite(value) else None
    return _nested(value)


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        return _trimmed(value.isoformat(" "))
    return _trimmed(value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")) + "+00:00"


def _trimmed(text: str) -> str:
    """Without the zeros at the end of a fraction."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _span(value: timedelta) -> str:
    """As DuckDB writes an interval: days, if there are, and hours, minutes, seconds."""
    sign, rest = ("-", -value) if value < timedelta(0) else ("", value)
    hours, seconds = divmod(rest.seconds, 3600)
    clock = f"{hours:02}:{seconds // 60:02}:{seconds % 60:02}"
    clock = _trimmed(f"{clock}.{rest.microseconds:06}") if rest.microseconds else clock
    if not rest.days:
        return sign + clock
    return f"{sign}{rest.days} day{'s' if rest.days > 1 else ''} {sign}{clock}"
