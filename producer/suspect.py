"""Values that look like what a program made of a value, rather than the value. Pure.

As an id they are refused: several users would share one, or a user would have another one next month. As data they are
what the source says, and `mailonce sources check` names them.
"""

from __future__ import annotations

import re

from schemas.invisible import invisible

__all__ = ["ID_PATTERN", "KINDS", "suspect_id", "suspicion"]

_NO_VALUE = (
    *("NULL", "null", "Null", "(null)", "(NULL)", "\\N", "NaN", "nan", "NAN", "NaT", "None", "<NA>", "<null>"),
    *("undefined", "[object Object]"),
)
_ERRORS = ("#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#CALC!", "#SPILL!")
_SHORTENED = r"[+-]?\d+[.,]\d+[eE][+-]?\d{1,3}|[+-]?\d+[eE]\+\d{1,3}"
"""A number by its exponent, as spreadsheets and programs write it; ``12e45`` may be a name."""
_FORMULA = r'="[^"]*"'

ID_PATTERN = "|".join([*map(re.escape, (*_NO_VALUE, *_ERRORS)), _SHORTENED, _FORMULA])
"""Ids that are refused: for Python and for DuckDB, to be matched as a whole"""

_id = re.compile(ID_PATTERN)
_shortened, _formula = re.compile(_SHORTENED), re.compile(_FORMULA)
_MOJIBAKE = re.compile("[\u00c2\u00c3\u00e2][\u0080-\u00bf\u20ac\u201a-\u201e\u2020-\u203a\u0152-\u0178\u02dc]|\ufffd")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,4}|[aou]uml);")

KINDS = {
    "no value": "the word for a value that is missing",
    "exponent": "a number shortened with an exponent: its digits are lost",
    "formula": 'a formula that keeps a text one, as in ="007"',
    "spreadsheet error": "an error of a spreadsheet",
    "wrong encoding": "letters that were read in another encoding than they were written in",
    "invisible": "a character that nobody sees",
    "spaces": "spaces around it",
    "HTML": "written for HTML, as in &amp;",
}
"""Suspicions, and what each means"""


def suspicion(value: str) -> str | None:
    """The kind of a value that looks wrong, one of `KINDS`."""
    if not value:
        return None
    if value in _NO_VALUE:
        return "no value"
    if value in _ERRORS:
        return "spreadsheet error"
    if _shortened.fullmatch(value):
        return "exponent"
    if _formula.fullmatch(value):
        return "formula"
    if not value.isascii() and _MOJIBAKE.search(value):
        return "wrong encoding"
    if invisible(value.replace("\n", "").replace("\r", "").replace("\t", "")):
        return "invisible"
    if value != value.strip():
        return "spaces"
    return "HTML" if "&" in value and _ENTITY.search(value) else None


def suspect_id(user_id: str) -> str | None:
    """Why this is no id, whatever it says."""
    if _id.fullmatch(user_id) is None:
        return None
    kind = suspicion(user_id)
    return f"user_id {user_id!r} is {KINDS[kind]}" if kind else None
