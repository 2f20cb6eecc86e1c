"""The staged rows against what is published, in SQL: which rows need no second look, and what is to be done with them.

A row is *good* when a few patterns say so for certain; every other is judged by the rules in `producer.plan`, one by
one, which may find it good as well. What is published is compared as text: where it is not the very text that would be
published now, the fingerprints decide, in Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec

from producer.rows import Row
from producer.staging.sql import lines_of, literal
from producer.staging.staged import Staged
from producer.suspect import ID_PATTERN
from schemas.limits import TEMPLATE_DATA_BYTES_MAX, USER_ID_BYTES_MAX
from schemas.records import JOB_VERSION

__all__ = ["Diff", "Doubtful", "Fresh"]

_AT_ONCE = 2048
_SURE_DATA_BYTES = TEMPLATE_DATA_BYTES_MAX * 3 // 4
"""Less than SES's limit: no way of writing it as JSON makes more of it"""

# The usual ones; what they do not match is looked at in Python.
_GOOD = rf"""
    problem IS NULL
    AND strlen(user_id) <= {USER_ID_BYTES_MAX} AND regexp_full_match(user_id, '[\pL\pN!-~](?:[\pL\pN -~]*[\pL\pN!-~])?')
    AND NOT regexp_full_match(user_id, {literal(ID_PATTERN)})
    AND length(email) <= 64
    AND regexp_full_match(email, '[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{{2,63}}')
    AND strlen(data) <= {_SURE_DATA_BYTES}"""
_END = r',"published_at_ms":[0-9]+(?:,"provenance":\{"source":"[^"\\]*","snapshot":"[^"\\]*","row":[0-9]+\})?\}'
"""Of a job: what says nothing of its content"""
_FRESH, _UNCHANGED, _DOUBTFUL = 0, 1, 2


Fresh = tuple[str, str, int, int]
"""A good row that is not published: its id, its job up to what says nothing of the content, its file and line"""


class Doubtful(NamedTuple):
    """A row for the rules."""

    row: Row
    last: int | None
    """the place of its user's last row, if there are several"""
    held: list[str]
    """what is published of its user, the latest last"""


class Diff:
    """Each wanted row of a source is one of three: fresh, unchanged, or doubtful."""

    def __init__(self, staged: Staged, month: str, template: str, published: Path | None) -> None:
        """`published` is a file with the user's id and the job's text, a line a record (`producer.published`)."""
        self.staged = staged
        self._database = staged.staging.cursor()
        begin = literal(f'{{"v":{JOB_VERSION},"user_id":')
        middle = literal(f',"month":{_json(month)},"email":')
        end = literal(f',"template":{_json(template)},"data":')
        self._content = f"concat({begin}, to_json(user_id), {middle}, to_json(email), {end}, data)"
        self._note_twice()
        self.held = published is not None and self._load(published)
        """whether anything is published of the month"""
        self._mixed = self.held or self._one("SELECT count(*) FROM twice") > 0
        if self._mixed:
            self._judge()

    def _load(self, published: Path) -> bool:
        self._run(f"CREATE OR REPLACE TABLE published AS {lines_of(published)}")
        self._run(
            "CREATE OR REPLACE TABLE repeated AS SELECT user_id FROM published GROUP BY user_id HAVING count(*) > 1"
        )
        return self._one("SELECT count(*) FROM published") > 0

    def _note_twice(self) -> None:
        """Users who stand in the source more than once, and the place of each one's last row."""
        last = f"""
            SELECT user_id, max(number) AS number FROM ({self.staged.wanted})
            WHERE user_id != '' GROUP BY user_id HAVING count(*) > 1"""
        place = "number" if self.staged.many else "line"
        placed = self.staged.staging.placed(last)
        self._run(f"CREATE OR REPLACE TABLE twice AS SELECT user_id, {place} AS last FROM ({placed})")

    def _judge(self) -> None:
        held, same = "", "FALSE"
        if self.held:
            held = """
                LEFT JOIN (FROM published ANTI JOIN repeated USING (user_id)) p USING (user_id)
                LEFT JOIN (SELECT user_id, TRUE AS several FROM repeated) s USING (user_id)"""
            rest = f"substr(text, length({self._content}) + 1)"
            same = f"starts_with(text, {self._content}) AND regexp_full_match({rest}, {literal(_END)})"
        several = "several IS NULL AND" if self.held else ""
        fresh = "text IS NULL" if self.held else "TRUE"
        self._run(
            f"""CREATE OR REPLACE TABLE states AS
            SELECT number, (CASE WHEN last IS NULL AND {several} ({_GOOD})
                THEN CASE WHEN {fresh} THEN {_FRESH} WHEN {same} THEN {_UNCHANGED} ELSE {_DOUBTFUL} END
                ELSE {_DOUBTFUL} END)::TINYINT AS state
            FROM ({self.staged.wanted}) LEFT JOIN twice USING (user_id) {held}"""
        )

    @property
    def rows(self) -> int:
        """How many rows are wanted."""
        return self._one(f"SELECT count(*) FROM ({self.staged.wanted})")

    @property
    def certainly_new(self) -> str:
        """SQL: good rows that are not published."""
        return self._of(_FRESH)

    @property
    def unchanged(self) -> int:
        """How many of them stand in the topic as they would be published now."""
        return self._one(f"SELECT count(*) FROM states WHERE state = {_UNCHANGED}") if self._mixed else 0

    def fresh(self) -> Iterator[list[Fresh]]:
        """Good rows that are not published, some at once."""
        rows = f"SELECT number, user_id, {self._content} AS content FROM ({self.certainly_new})"
        found = self.staged.staging.cursor().execute(
            f"SELECT user_id, content, file, line FROM ({self.staged.staging.placed(rows)})"
        )
        while batch := found.fetchmany(_AT_ONCE):
            yield batch

    def doubtful(self) -> Iterator[Doubtful]:
        """All others but the unchanged, in the source's order."""
        more, held = "NULL::BIGINT AS last, []::VARCHAR[] AS held", ""
        if self._mixed:
            more, held = "last, []::VARCHAR[] AS held", "LEFT JOIN twice USING (user_id)"
        if self.held:
            more = (
                "last, CASE WHEN texts IS NOT NULL THEN texts WHEN p.text IS NOT NULL THEN [p.text] ELSE [] END AS held"
            )
            held += """
                LEFT JOIN (FROM published ANTI JOIN repeated USING (user_id)) p USING (user_id)
                LEFT JOIN (SELECT user_id, list(text ORDER BY published.rowid) AS texts
                    FROM published SEMI JOIN repeated USING (user_id) GROUP BY user_id) s USING (user_id)"""
        rows = f"SELECT number, user_id, email, data, problem, {more} FROM ({self._of(_DOUBTFUL)}) {held}"
        found = self.staged.staging.cursor().execute(
            f"SELECT * FROM ({self.staged.staging.placed(rows)}) ORDER BY number"
        )
        while batch := found.fetchmany(_AT_ONCE):
            for number, user_id, email, data, problem, last, texts, file, line in batch:
                row = self.staged.row((number, user_id, email, data, problem, file, line))
                yield Doubtful(row, last, texts)

    def _of(self, state: int) -> str:
        if self._mixed:
            states = f"FROM states WHERE state = {state}"
            return f"SELECT w.* FROM ({self.staged.wanted}) w SEMI JOIN ({states}) USING (number)"
        good = f"coalesce({_GOOD}, FALSE)"
        return f"SELECT * FROM ({self.staged.wanted}) WHERE {good if state == _FRESH else f'NOT {good}'}"

    def _run(self, statement: str) -> duckdb.DuckDBPyConnection:
        return self._database.execute(statement)

    def _one(self, query: str) -> int:
        found: Any = self._run(query).fetchone()
        return int(found[0])


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
