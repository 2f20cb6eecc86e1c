"""A source that was read: its rows as often as they are asked for, only those that are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from producer.rows import Condition, Row
from producer.staging.sql import literal
from producer.staging.store import Staging
from schemas.runtime.errors import UsageError

__all__ = ["Staged"]

_AT_ONCE = 4096
_values = msgspec.json.Decoder(dict[str, object])
_cells = msgspec.json.Decoder(list[str])


class Staged:
    """See `producer.rows.Source` for the laws.

    Rows that do not meet every condition are left out, and those after the limit; rows that cannot be read stay in:
    they are to be told of. Raises `UsageError` for a condition on a column that there is not.
    """

    def __init__(
        self,
        staging: Staging,
        name: str,
        snapshot: str,
        *,
        many: bool = False,
        conditions: Sequence[Condition] = (),
        limit: int | None = None,
    ) -> None:
        self.staging = staging
        self.name = name
        self.snapshot = snapshot
        self.many = many
        """whether it has several files, or might have: rows name theirs"""
        self._meets = self._where(conditions)
        self._last = self._last_wanted(limit)

    def shaped(self, conditions: Sequence[Condition], limit: int | None) -> Staged:
        """The same rows, seen through conditions and a limit."""
        return Staged(self.staging, self.name, self.snapshot, many=self.many, conditions=conditions, limit=limit)

    @property
    def wanted(self) -> str:
        """SQL: number, id, address, data and problem of every row that is wanted."""
        return f"SELECT rowid + 1 AS number, * FROM rows WHERE ({self._meets}) AND rowid < {self._last}"

    @property
    def filtered(self) -> int:
        """How many rows do not meet the conditions."""
        return self._count(f"NOT ({self._meets})")

    @property
    def after_limit(self) -> int:
        """How many rows meet them and stand after the limit."""
        return self._count(f"({self._meets}) AND rowid >= {self._last}")

    def columns(self) -> list[str]:
        """Every column of any file, under the name that is asked for."""
        return list(dict.fromkeys(name for _, _, names in self.staging.files for name in names))

    def check_renames(self) -> None:
        """Raises `UsageError` for a column that is to have another name, and that no file has."""
        own = list(dict.fromkeys(name for _, columns, _ in self.staging.files for name in columns))
        if own and (unknown := [name for name in self.staging.renames if name not in own]):
            raise UsageError(f"--map: there is no column {', '.join(unknown)}; there are {', '.join(own)}")

    def rows(self) -> Iterator[Row]:
        return self.read(self.wanted)

    def user_ids(self) -> Iterator[tuple[int, str]]:
        rows = f"SELECT number, coalesce(user_id, '') AS id FROM ({self.wanted})"
        found = self.staging.cursor().execute(self.staging.placed(rows))
        place = 0 if self.many else 3
        while batch := found.fetchmany(_AT_ONCE):
            yield from ((row[place], row[1]) for row in batch)

    def read(self, rows: str) -> Iterator[Row]:
        """Rows that a query gives as `wanted` does."""
        found = self.staging.cursor().execute(self.staging.placed(rows))
        while batch := found.fetchmany(_AT_ONCE):
            yield from map(self.row, batch)

    def row(self, found: Sequence[object]) -> Row:
        """A row from what `wanted` gives, file and line behind it."""
        number, user_id, email, data, problem, file, line = found
        assert isinstance(number, int)
        assert isinstance(file, int)
        assert isinstance(line, int)
        name, _, columns = self.staging.files[file]
        where: dict[str, Any] = {"file": name, "number": number} if self.many else {}
        if problem is not None:
            raw = tuple(_cells.decode(str(data)))
            return Row(line, dict(zip(columns, raw, strict=False)), str(problem), raw, **where)
        values = {"user_id": user_id, "email": email, **_values.decode(str(data))}
        return Row(line, values, None, tuple(_text(values.get(name, "")) for name in columns), **where)

    def _count(self, condition: str) -> int:
        found = self.staging.cursor().execute(f"SELECT count(*) FROM rows WHERE {condition}").fetchone()
        assert found is not None
        return int(found[0])

    def _where(self, conditions: Sequence[Condition]) -> str:
        known, wanted = self.columns(), ["TRUE"]
        for name, equal, value in conditions:
            if name not in known:
                raise UsageError(f"--where: there is no column {name}; there are {', '.join(known)}")
            pointer = "/" + name.replace("~", "~0").replace("/", "~1")
            of_row = name if name in {"user_id", "email"} else f"json_extract_string(data, {literal(pointer)})"
            wanted.append(f"coalesce({of_row}, '') {'=' if equal else '!='} {literal(value)}")
        return f"problem IS NOT NULL OR ({' AND '.join(wanted)})"

    def _last_wanted(self, limit: int | None) -> int:
        """Row ids below this one are wanted."""
        if limit is None:
            return self.staging.count
        found = self.staging.cursor().execute(
            f"SELECT max(rowid) + 1 FROM (SELECT rowid FROM rows WHERE {self._meets} ORDER BY rowid LIMIT {limit})"
        )
        last = found.fetchone()
        return int(last[0]) if last and last[0] is not None else 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
