"""An Excel sheet as a source: each value as the file has it, and nothing empty that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.sources import open_source
from schemas.runtime.errors import SourceError
from tests.support.plans import planned
from tests.support.workbooks import DATE, MOMENT, cells, write_workbook, write_xlsx

HEADER = cells(1, ["user_id", "email", "value"])


def sheet(path: Path, *rows: str, header: str = HEADER, more: str = "") -> Path:
    return write_workbook(path / "users.xlsx", header + "".join(rows), more=more)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<c @><v>7</v></c>", "7"),
        ("<c @><v>7.0</v></c>", "7"),
        ("<c @><v>-0</v></c>", "0"),
        ("<c @><v>0.30000000000000004</v></c>", "0.3"),
        ("<c @><v>1.5E-7</v></c>", "0.00000015"),
        ("<c @><v>1E+20</v></c>", "100000000000000000000"),
        ('<c @ t="b"><v>1</v></c>', "true"),
        (f'<c @ s="{DATE}"><v>45000</v></c>', "2023-03-15"),
        (f'<c @ s="{MOMENT}"><v>45000.5</v></c>', "2023-03-15 12:00:00"),
        ('<c @ t="str"><f>A1</f><v>told</v></c>', "told"),
        ('<c @ t="str"><f>""</f><v></v></c>', ""),
        ("<c @><f>3+4</f><v>7</v></c>", "7"),
        (" spaces ", " spaces "),
        ("007", "007"),
        ("", ""),
    ],
)
def test_a_cell_becomes_text(tmp_path: Path, cell: str, text: str) -> None:
    """Numbers with Excel's fifteen digits, a whole one without a fraction; dates by ISO; texts as they are."""
    jobs, rejects = planned(open_source(str(sheet(tmp_path, cells(2, ["u1", "a@b.de", cell])))))
    assert not rejects
    assert [job.data for job in jobs] == [{"value": text}]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ('<c @ t="e"><v>#N/A</v></c>', "cell C2 holds the error #N/A"),
        ('<c @ t="e"><f>1/0</f><v>#DIV/0!</v></c>', "cell C2 holds the error #DIV/0!"),
        ("<c @><f>VLOOKUP(A2,B:B,1)</f></c>", "cell C2 holds a formula without its value"),
        ("<c @><f>A1</f><v/></c>", None),
    ],
)
def test_what_a_reader_of_values_gives_as_empty_is_refused(tmp_path: Path, cell: str, says: str | None) -> None:
    """An error, a formula that nobody has worked out: nobody gets a mail with a hole in it."""
    path = sheet(tmp_path, cells(2, ["u1", "a@b.de", cell]), cells(3, ["u2", "c@d.de", "x"]))
    jobs, rejects = planned(open_source(str(path)))
    assert [job.user_id for job in jobs] == (["u2"] if says else ["u1", "u2"])
    assert [(one.line, one.reason) for one in rejects] == ([(2, "unreadable-row")] if says else [])
    assert says is None or says in rejects[0].detail


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("<c @><v>1234567890123456</v></c>", "more than 15 digits"),
        ("<c @><v>1.5</v></c>", "is the number 1.5"),
        ('<c @ t="b"><v>0</v></c>', "the truth value false"),
        (f'<c @ s="{DATE}"><v>45000</v></c>', "the date or time 2023-03-15"),
        ("<c @><f>A1+1</f></c>", "a formula without its value"),
    ],
)
def test_an_id_that_excel_made_something_else_of_is_refused(tmp_path: Path, cell: str, says: str) -> None:
    """A whole number is one; what has lost digits or became a date would be somebody else."""
    path = sheet(tmp_path, cells(2, [cell, "a@b.de"]), cells(3, ["<c @><v>42</v></c>", "c@d.de"]))
    jobs, rejects = planned(open_source(str(path)))
    assert [job.user_id for job in jobs] == ["42"]
    assert [one.line for one in rejects] == [2]
    assert says in rejects[0].detail


def test_rows_are_counted_as_the_sheet_does(tmp_path: Path) -> None:
    """Wherever its values begin; empty rows are none, an error alone in its row is told."""
    rows = [
        cells(4, ["user_id", "email", "value"], "C"),
        cells(5, ["u1", "a@b.de", "x"], "C"),
        cells(8, ["u2", "c@d.de"], "C"),
        cells(9, ["", "", '<c @ t="e"><v>#REF!</v></c>'], "C"),
    ]
    source = open_source(str(sheet(tmp_path, *rows, header="")))
    assert [(row.line, row.problem) for row in source.rows()] == [
        (5, None),
        (8, None),
        (9, "cell E9 holds the error #REF!"),
    ]


def test_only_the_first_sheet_that_can_be_seen_is_read(tmp_path: Path) -> None:
    """And which it was is said."""
    path = tmp_path / "users.xlsx"
    rows = HEADER + cells(2, ["u1", "a@b.de", "x"])
    source = open_source(str(write_workbook(path, rows, sheets=[("Notes", "hidden"), ("Old", "veryHidden")])))
    assert [row.values["user_id"] for row in source.rows()] == ["u1"]
    assert source.staging.told["users.xlsx"] == {"format": "xlsx", "sheet": "Users"}
    assert source.staging.notes == []
    with pytest.raises(SourceError, match="is empty"):
        open_source(str(write_workbook(path, rows, sheets=[("Cover", "visible")])))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('<mergeCells count="1"><mergeCell ref="C2:C3"/></mergeCells>', "cells C2:C3 are merged"),
        ('<mergeCells count="1"><mergeCell ref="AA2:AB3"/></mergeCells>', "cells AA2:AB3 are merged"),
    ],
)
def test_merged_cells_are_refused(tmp_path: Path, more: str, says: str) -> None:
    """All but the first of them have no value."""
    with pytest.raises(SourceError, match=says):
        open_source(str(sheet(tmp_path, cells(2, ["u1", "a@b.de", "x"]), more=more)))


def test_a_damaged_workbook_is_refused_whole(tmp_path: Path) -> None:
    """Cut off, a byte that turned over, XML that is none."""
    path = write_xlsx(tmp_path / "users.xlsx", [["user_id", "email"], *([f"u{n}", "a@b.de"] for n in range(500))])
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(SourceError, match="damaged workbook, or cut off"):
        open_source(str(path))
    middle = whole.index(b"xl/worksheets/sheet1.xml") + 200
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(SourceError, match="damaged workbook"):
        open_source(str(path))
    with pytest.raises(SourceError, match="no workbook that can be read"):
        open_source(str(write_workbook(path, HEADER + "<row><c></row>")))
    with pytest.raises(SourceError, match="the header: cell C1 holds the error"):
        open_source(str(sheet(tmp_path, header=cells(1, ["user_id", "email", '<c @ t="e"><v>#N/A</v></c>']))))
