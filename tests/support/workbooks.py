"""Excel workbooks as small as they can be: what a test wants in the sheet, as Excel writes it."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

__all__ = ["DATE", "MOMENT", "cells", "write_workbook", "write_xlsx"]

DATE, MOMENT = 1, 2
"""Styles of cells: a date, a date with a time"""
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OF = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"


def write_workbook(path: Path, rows: str, *, more: str = "", sheets: Sequence[tuple[str, str]] = ()) -> Path:
    """A workbook whose first sheet has these rows, in XML; `sheets` are others' names and states before it."""
    listed = [*sheets, ("Users", "visible")]
    book = "".join(
        f'<sheet name="{name}" sheetId="{n}" state="{state}" r:id="rId{n}"/>'
        for n, (name, state) in enumerate(listed, 1)
    )
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{_OF}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(listed) + 1)
    )
    styles = f'<Relationship Id="rIdS" Type="{_OF}/styles" Target="styles.xml"/>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET}"/></Types>',
        )
        out.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type="{_OF}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        out.writestr("xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_OF}"><sheets>{book}</sheets></workbook>')
        out.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships">{links}{styles}</Relationships>',
        )
        out.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{_MAIN}"><cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/>'
            "</cellXfs></styleSheet>",
        )
        for n in range(1, len(listed)):
            out.writestr(f"xl/worksheets/sheet{n}.xml", f'<worksheet xmlns="{_MAIN}"><sheetData/></worksheet>')
        out.writestr(
            f"xl/worksheets/sheet{len(listed)}.xml",
            f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData>{more}</worksheet>',
        )
    return path


def cells(line: int, values: Sequence[str], first: str = "A") -> str:
    """A row of texts, or of cells written by hand (what begins with ``<``; ``@`` in it stands for the cell's name)."""
    made = []
    for n, value in enumerate(values):
        ref = f"{chr(ord(first) + n)}{line}"
        if value.startswith("<"):
            made.append(value.replace("@", f'r="{ref}"'))
        elif value:
            made.append(f'<c r="{ref}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>')
    return f'<row r="{line}">{"".join(made)}</row>'


def write_xlsx(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """A workbook of rows of texts."""
    return write_workbook(path, "".join(cells(line, row) for line, row in enumerate(rows, 1)))
