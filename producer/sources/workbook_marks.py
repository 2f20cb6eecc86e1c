"""What of an Excel sheet its values do not tell: errors (``#N/A``), and formulas that nobody has worked out yet.

A reader of values gives both as empty, and an empty value would be mailed. The workbook's own XML is looked through
for them, a piece at a time; that it is whole is checked before.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from xml.parsers import expat

from schemas.runtime.errors import SourceError

__all__ = ["check_whole", "marks_of"]

_MAIN = "xl/workbook.xml"
_BYTES_MAX = 2_000_000_000
"""Of a workbook, unpacked: more than the largest sheet there can be"""
_PIECE = 1 << 18


@contextmanager
def _opened(path: Path, name: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"{name} is a damaged workbook, or cut off ({error}): save or fetch it again") from None
    except (expat.ExpatError, KeyError) as error:
        raise SourceError(f"{name} is no workbook that can be read ({error}): save it again as .xlsx") from None


def check_whole(path: Path, name: str) -> None:
    """Raises `SourceError` for an archive that is damaged, too large, or no workbook of Excel's."""
    with _opened(path, name) as archive:
        names = set(archive.namelist())
        if _MAIN not in names:
            what = (
                "a document of another kind (.ods, .xlsb, .docx)"
                if "mimetype" in names or any(one.startswith(("xl/", "word/", "ppt/")) for one in names)
                else "a zip archive"
            )
            fix = "save it as .xlsx or as CSV UTF-8" if "document" in what else "unpack it"
            raise SourceError(f"{name} is {what}, and no Excel workbook: {fix}")
        if sum(one.file_size for one in archive.infolist()) > _BYTES_MAX:
            raise SourceError(f"{name} unpacks to more than {_BYTES_MAX:,} bytes: save it as CSV UTF-8")
        if (bad := archive.testzip()) is not None:
            raise SourceError(f"{name} is a damaged workbook ({bad}): save or fetch it again")


def marks_of(path: Path, name: str, sheet: int) -> dict[int, str]:
    """By row (1 is the sheet's first): why its values are not all there. `sheet` counts the workbook's, from 0."""
    with _opened(path, name) as archive:
        looked = _Sheet()
        with archive.open(_place_of(archive, sheet)) as content:
            _parse(content, looked.start, looked.end, looked.text)
        return looked.found


def _place_of(archive: zipfile.ZipFile, sheet: int) -> str:
    """Where in the archive a sheet stands."""
    ids: list[str] = []
    targets: dict[str, str] = {}

    def of_book(tag: str, given: dict[str, str]) -> None:
        if _plain(tag) == "sheet":
            ids.append(next((value for key, value in given.items() if _plain(key) == "id"), ""))

    def of_relations(tag: str, given: dict[str, str]) -> None:
        if _plain(tag) == "Relationship":
            targets[given.get("Id", "")] = given.get("Target", "")

    with archive.open(_MAIN) as content:
        _parse(content, of_book)
    with archive.open("xl/_rels/workbook.xml.rels") as content:
        _parse(content, of_relations)
    target = targets[ids[sheet]]
    return target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")


def _plain(tag: str) -> str:
    return tag.rpartition(":")[2]


def _parse(content: IO[bytes], start: object, end: object = None, text: object = None) -> None:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start  # type: ignore[assignment]
    parser.EndElementHandler = end  # type: ignore[assignment]
    parser.CharacterDataHandler = text  # type: ignore[assignment]
    parser.StartDoctypeDeclHandler = _no_doctype
    while piece := content.read(_PIECE):
        parser.Parse(piece, False)
    parser.Parse(b"", True)


def _no_doctype(*_given: object) -> None:
    raise KeyError("a document type, which workbooks have not")


class _Sheet:
    """Cells that hold an error, or a formula without a value."""

    def __init__(self) -> None:
        self.found: dict[int, str] = {}
        self._row = 0
        self._cell = ""
        self._is_error = self._formula = self._in_value = False
        self._value = ""

    def start(self, tag: str, given: dict[str, str]) -> None:
        tag = _plain(tag)
        if tag == "row":
            self._row = int(given.get("r", self._row + 1))
        elif tag == "c":
            self._cell, self._is_error = given.get("r", ""), given.get("t") == "e"
            self._formula, self._value = False, ""
            if digits := re.search(r"\d+", self._cell):
                self._row = int(digits[0])
        elif tag == "f":
            self._formula = True
        elif tag in {"v", "t"}:
            self._in_value = True

    def text(self, text: str) -> None:
        if self._in_value:
            self._value += text

    def end(self, tag: str) -> None:
        tag = _plain(tag)
        if tag in {"v", "t"}:
            self._in_value = False
            # An empty text is a value, too.
            self._formula = False
        elif tag == "c" and self._is_error:
            self.found.setdefault(self._row, f"cell {self._cell} holds the error {self._value or '?'}")
        elif tag == "c" and self._formula:
            why = f"cell {self._cell} holds a formula without its value: open the workbook in Excel once, and save it"
            self.found.setdefault(self._row, why)
