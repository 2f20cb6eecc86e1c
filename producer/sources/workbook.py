"""Rows of an Excel workbook: its first sheet that can be seen, each value as Excel's own file has it, as text.

Numbers have Excel's fifteen digits, and a whole one no fraction (7, not 7.0); dates are ISO 8601. How a cell is shown
(0007, 1.5 €) is not in its value: ids that begin with zeros have to be texts in the sheet.
"""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import python_calamine
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from producer.sources.csv_header import header_line
from producer.sources.names import EmptySource
from producer.sources.typed import text_of
from producer.sources.workbook_marks import check_whole, marks_of
from producer.staging.store import Staging
from schemas.runtime.errors import SourceError

__all__ = ["stage_workbook"]

_DIGITS = 15
"""What Excel keeps of a number"""


def stage_workbook(into: Staging, path: Path, name: str) -> None:
    """Reads the sheet into the staging; a row's line is its number in the sheet. Raises `SourceError`."""
    check_whole(path, name)
    try:
        with CalamineWorkbook.from_path(path) as book:
            at, sheet = _sheet(book, name, into)
            _stage(into, sheet, name, marks_of(path, name, at))
    except python_calamine.PasswordError:
        raise SourceError(f"{name} is protected by a password: open it in Excel, take that away, save it") from None
    except CalamineError as error:
        raise SourceError(f"{name} is no workbook that can be read ({error}): save it again as .xlsx") from None


def _sheet(book: CalamineWorkbook, name: str, into: Staging) -> tuple[int, CalamineSheet]:
    """The first one that can be seen, and its number among all."""
    seen = [
        (at, sheet)
        for at, sheet in enumerate(book.sheets_metadata)
        if sheet.visible == SheetVisibleEnum.Visible and sheet.typ == SheetTypeEnum.WorkSheet
    ]
    if not seen:
        raise SourceError(f"{name} has no sheet that can be seen")
    at, first = seen[0]
    into.tell(name, sheet=first.name)
    if len(seen) > 1:
        into.notes.append(f"{name}: only its first sheet, {first.name!r}, is read; there are {len(seen)}")
    return at, book.get_sheet_by_index(at)


def _stage(into: Staging, sheet: CalamineSheet, name: str, marks: dict[int, str]) -> None:
    # Rows are counted from the sheet's first, wherever its values begin.
    rows = ((line, row) for line, row in enumerate(sheet.iter_rows(), 1) if any(map(_holds, row)) or line in marks)
    line, first = next(rows, (0, []))
    if not first:
        raise EmptySource(name)
    if line in marks:
        raise SourceError(f"{name}: row {line}, the header: {marks[line]}")
    header = header_line(name, line, [_text(cell) for cell in first], ",", into.renames)
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or []:
        if bottom >= line:
            raise SourceError(
                f"{name}: cells {_cell(top, left)}:{_cell(bottom, right)} are merged, and only the first of them has a "
                f"value: take the merge away and fill them"
            )
    user_id = header.skip + [into.renames.get(own, own) for own in header.columns].index("user_id")
    with into.part(name, header.columns, skip=header.skip) as part:
        for line, row in rows:
            texts = header.fit([_text(cell) for cell in row])
            problem = marks.get(line) or _id_problem(row[user_id])
            if problem := problem or header.misfit(texts):
                part.refuse(line, problem, texts)
            else:
                part.row(line, texts)


def _holds(value: Any) -> bool:
    return not (isinstance(value, str) and value == "")


def _text(value: Any) -> str:
    """A cell's value as text."""
    if isinstance(value, float):
        return format(Decimal(f"{value or 0:.{_DIGITS}g}"), "f")  # without the sign of a zero
    return text_of(value)


def _id_problem(value: Any) -> str | None:
    """Why a cell is no id: what Excel has made something else of."""
    if isinstance(value, float):
        if abs(value) >= 10**_DIGITS:
            return f"user_id is a number of more than {_DIGITS} digits, of which Excel loses the last: make it a text"
        if not value.is_integer():
            return f"user_id is the number {_text(value)} in the sheet: make it a text"
    if isinstance(value, bool):
        return f"user_id is the truth value {_text(value)} in the sheet: make it a text"
    if isinstance(value, date | time | timedelta):
        return f"user_id is the date or time {_text(value)} in the sheet, which Excel made of it: make it a text"
    return None


def _cell(row: int, column: int) -> str:
    letters = ""
    number = column + 1
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(65 + letter) + letters
    return f"{letters}{row + 1}"
