"""The staged rows beside what is published of the month, as a whole: who is gone, who is new, what looks odd.

`producer.staging.diff` says what becomes of each row; this counts. All of it is SQL on the same tables, so that memory
stays flat. What only people can judge is told, not decided.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from producer.rows import Row
from producer.staging.diff import Diff
from producer.staging.sql import literal

__all__ = ["Beside", "Looks", "Moved", "OtherIds", "Shared", "id_form"]

_MOVED_MAX = 20
_FORMS_MAX = 20
"""More forms than that say nothing"""
_GROUPS_MAX = 10_000
"""Ids that differ in more than their digits: with more of them nobody asks how ids are written"""
_SPECIMENS_MAX = 100_000
_AT_ONCE = 4096
_LONG = 16
"""characters: a word of hexadecimal digits so long has one form, whatever stands in it"""
# Nothing of an id but its digits, unless it is one long word.
_FORM = rf"""
    CASE WHEN regexp_full_match(user_id, '[0-9]+') THEN '9'
         WHEN strlen(user_id) >= {_LONG} AND regexp_full_match(user_id, '[0-9a-f-]+') THEN 'x'
         WHEN strlen(user_id) >= {_LONG} AND regexp_full_match(user_id, '[0-9A-F-]+') THEN 'X'
         ELSE regexp_replace(user_id, '[0-9]+', '9', 'g') END"""
_WORD = re.compile(r"[^\W_]+")
_ESCAPES = "contains(data, '\\') OR contains(data, '\x7f')"
"""SQL: whether a text of the data holds a control character, or a quote"""


def _alike(data: str) -> str:
    """SQL: a row's data, each plain text as one and the same; what may be JSON, or holds escapes, stays as it is."""
    return f"""CASE WHEN {_ESCAPES} THEN data ELSE regexp_replace({data}, ':"[^"\\\\[{{][^"\\\\]*"', ':1', 'g') END"""


_TEXTS = _alike("data")
_TEXTS_AND_NUMBERS = _alike("""regexp_replace(data, ':"[-+]?[0-9]+(?:[.,][0-9]+)?"', ':0', 'g')""")
_CONTROL = r"[\x00-\x1f\x7f]"


class Moved(NamedTuple):
    """An address that is published under an id that the source no longer has."""

    address: str
    old: str
    new: str
    line: int


class Shared(NamedTuple):
    """Addresses that several users of the source have."""

    addresses: int
    users: int
    example: tuple[str, ...] = ()
    """an address and two of its users"""


class OtherIds(NamedTuple):
    """New users whose ids are written in a form that the month, or the one before, does not know."""

    users: int = 0
    example: str = ""


@dataclass(frozen=True, slots=True)
class Looks:
    """What of the data a template looks at."""

    names: Sequence[str] = ()
    """without which it cannot be filled in"""
    one_line: Sequence[str] = ()
    """of which it takes one line only"""
    values: bool = True
    """whether more than that decides: whether there is a value, and whether it is JSON"""
    numbers: bool = True
    """whether it also matters that a value is a number"""


class Beside:
    """A source beside what the topic holds of its month."""

    def __init__(self, diff: Diff) -> None:
        self._diff = diff
        self._staged = diff.staged
        self._staging = diff.staged.staging
        self._database = self._staging.cursor()
        self._new_forms: dict[str, tuple[int, str]] | None = None
        self.cut = False
        """whether there were more `specimens` than are given"""
        if diff.held:
            self._note_live()

    def _note_live(self) -> None:
        """Whose latest record is a job, and who of these has no row."""
        self._run(
            """CREATE OR REPLACE TABLE live AS SELECT user_id, text FROM (
                SELECT user_id, text FROM published ANTI JOIN repeated USING (user_id)
                UNION ALL SELECT user_id, arg_max(text, published.rowid)
                FROM published SEMI JOIN repeated USING (user_id) GROUP BY user_id)
            WHERE starts_with(text, '{')"""
        )
        self._run("CREATE OR REPLACE TABLE gone AS FROM live ANTI JOIN rows USING (user_id)")

    @property
    def live(self) -> int:
        """Users of whom a job is published that is not cancelled."""
        return self._one("SELECT count(*) FROM live") if self._diff.held else 0

    @property
    def gone(self) -> int:
        """How many of them have no row in the source, whatever is asked for of it."""
        return self._one("SELECT count(*) FROM gone") if self._diff.held else 0

    def gone_ids(self) -> Iterator[str]:
        if not self._diff.held:
            return
        found = self._staging.cursor().execute("SELECT user_id FROM gone ORDER BY user_id")
        while batch := found.fetchmany(_AT_ONCE):
            yield from (user_id for (user_id,) in batch)

    def moved(self) -> list[Moved]:
        """Addresses of new users that are published under an id that the source no longer has; some of them."""
        if not self.gone:
            return []
        address = "CASE WHEN json_valid(text) THEN lower(json_extract_string(text, '$.email')) END"
        found = self._run(
            f"""SELECT email, old.user_id, new.user_id, line
            FROM ({self._staging.placed(self._new())}) new
            JOIN (SELECT user_id, {address} AS address FROM gone) old
            ON lower(trim(email)) = address WHERE email != '' ORDER BY number LIMIT {_MOVED_MAX}"""
        )
        return [Moved(*one) for one in found.fetchall()]

    def shared(self) -> Shared:
        """Addresses of several users."""
        address = "lower(trim(email))"
        rows = f"({self._staged.wanted}) WHERE email != ''"
        self._run(
            f"""CREATE OR REPLACE TABLE shared AS SELECT {address} AS address, count(DISTINCT user_id) AS users,
                min(user_id) AS one, max(user_id) AS other
            FROM {rows} AND hash({address}) IN (SELECT hash({address}) AS h FROM {rows} GROUP BY h HAVING count(*) > 1)
            GROUP BY address HAVING users > 1"""
        )
        addresses, users, *example = self._run(
            """SELECT count(*), coalesce(sum(users), 0)::BIGINT, arg_min(address, address), arg_min(one, address),
                arg_min(other, address) FROM shared"""
        ).fetchall()[0]
        return Shared(addresses, users, tuple(example) if addresses else ())

    def id_forms(self) -> list[str]:
        """How the ids of the published and of the new users are written; empty where that is in too many ways."""
        forms = self._forms("FROM live") if self._diff.held else {}
        new = self._forms_of_new()
        if forms is None or new is None:
            return []
        both = sorted({*forms, *new})
        return both if len(both) <= _FORMS_MAX else []

    def other_ids(self, before: Iterable[str]) -> OtherIds:
        """New users whose ids are in no form of the month's, or in none of `before` where it holds none yet."""
        known = set(self._forms("FROM live") or ()) if self._diff.held else set()
        known = known or set(before)
        new = self._forms_of_new() if known else None
        other = [one for form, one in (new or {}).items() if form not in known]
        return OtherIds(sum(count for count, _ in other), min(example for _, example in other)) if other else OtherIds()

    def _forms_of_new(self) -> dict[str, tuple[int, str]] | None:
        if self._new_forms is None:
            self._new_forms = self._forms(self._new())
        return self._new_forms

    def _forms(self, users: str) -> dict[str, tuple[int, str]] | None:
        """Each form, how many have it, and one that has; nothing where ids have too many."""
        found = self._run(
            f"""SELECT {_FORM} AS form, count(*), min(user_id) FROM ({users})
            WHERE user_id != '' GROUP BY form LIMIT {_GROUPS_MAX + 1}"""
        ).fetchall()
        if len(found) > _GROUPS_MAX:
            return None
        counts, examples = Counter[str](), dict[str, str]()
        for text, count, example in found:
            form = id_form(text)
            counts[form] += count
            examples[form] = min(example, examples.get(form, example))
        return {form: (counts[form], examples[form]) for form in counts}

    def specimens(self, looks: Looks) -> Iterator[Row]:
        """Of the rows that are certainly new, one for each that a template could tell apart; at most 100,000."""
        alike = self._flat(looks)
        if looks.values:
            alike = _TEXTS_AND_NUMBERS if looks.numbers else _TEXTS
        first = self._run(
            f"SELECT min(number) FROM ({self._diff.certainly_new}) GROUP BY {alike} LIMIT {_SPECIMENS_MAX}"
        ).fetchall()
        self.cut = len(first) == _SPECIMENS_MAX
        self._run("CREATE OR REPLACE TABLE specimens (number BIGINT)")
        for start in range(0, len(first), _AT_ONCE):
            numbers = ", ".join(f"({number})" for (number,) in first[start : start + _AT_ONCE])
            self._run(f"INSERT INTO specimens VALUES {numbers}")
        yield from self._staged.read(f"SELECT w.* FROM ({self._staged.wanted}) w SEMI JOIN specimens USING (number)")

    def _flat(self, looks: Looks) -> str:
        """SQL: which names a row has, and which of those that take one line hold a control character."""
        names, staging = list(looks.names), self._staging
        if not staging.loose and all(set(names) <= set(columns) for _, _, columns in staging.files):
            names = []
        has = ", ".join(f"contains(data, {literal(msgspec.json.encode(name).decode() + ':')})" for name in names)
        lines = ", ".join(f"regexp_matches({_value(name)}, '{_CONTROL}')" for name in looks.one_line)
        nested = f"CASE WHEN contains(data, ':{{') OR contains(data, ':[') THEN {_TEXTS} END" if names else "NULL"
        return f"[{has}]::BOOLEAN[], CASE WHEN {_ESCAPES} THEN [{lines}]::BOOLEAN[] END, {nested}"

    def _new(self) -> str:
        """SQL: wanted rows of users of whom the topic holds nothing."""
        return f"SELECT w.* FROM ({self._staged.wanted}) w" + (
            " ANTI JOIN published USING (user_id)" if self._diff.held else ""
        )

    def _run(self, statement: str) -> Any:
        return self._database.execute(statement)

    def _one(self, query: str) -> int:
        return int(self._run(query).fetchall()[0][0])


def _value(name: str) -> str:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    return f"coalesce(json_extract_string(data, {literal(pointer)}), '')"


def id_form(text: str) -> str:
    """How an id is written: ``a-9`` for u-1042, ``A`` in capitals, ``x`` and ``X`` for letters mixed with digits."""
    return _WORD.sub(lambda word: _form_of(word[0]), text)


def _form_of(word: str) -> str:
    if word.isdigit():
        return "9"
    letter = "a" if word.isalpha() else "x"
    return letter if not word.isupper() else letter.upper()
