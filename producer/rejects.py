"""Rows that become no job, in a file: their own columns, and before them where each stood and what is wrong with it.

The file is a source: once a row is mended, it is given back as it is.
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from producer.plan import Reject
from producer.rows import REJECT_COLUMNS
from producer.staging.staged import Staged
from schemas.runtime.errors import UsageError

__all__ = ["Rejects", "rejects_path"]

_SHOWN = 20


def rejects_path(uri: str, name: str, month: str) -> Path:
    """Where a source's rejects go: a file in the present folder, another for each source.

    A CSV file in the present folder gives its name; of others a few digits tell which it was.
    """
    here = urlsplit(uri).scheme == "" and Path(uri).resolve().parent == Path.cwd()
    plain = "".join(char if char.isalnum() or char in "-_" else "-" for char in Path(name).stem).strip("-") or "source"
    if not (here and Path(uri).suffix == ".csv"):
        place = str(Path(uri).resolve()) if urlsplit(uri).scheme == "" else uri
        plain += f"-{hashlib.sha256(place.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"
    return Path(f"{plain}-{month}.rejects.csv")


class Rejects:
    """Counts rejects, keeps the first ones, and writes all of them where a file is wanted."""

    def __init__(self, source: Staged, path: Path | None = None) -> None:
        """Raises `UsageError` for a path that cannot be written, or that holds something else than rejects."""
        self.first: list[Reject] = []
        self.replaced = 0
        self._by_reason: Counter[str] = Counter()
        self._columns = list(dict.fromkeys(own for _, columns, _ in source.staging.files for own in columns))
        self._of_file = {name: columns for name, columns, _ in source.staging.files}
        self._path = path
        self._told = str(path)
        """as the operator named it"""
        self._draft = path
        self._out: IO[str] | None = None
        self._writer: Any = None
        if path is not None:
            _check(path, source.staging.paths)
            self._open(source, path)

    def _open(self, source: Staged, path: Path) -> None:
        """Tries the place, and writes elsewhere until the end: a killed run leaves nothing beside the source."""
        path = self._path = path.resolve()
        trial = path.with_name(f".{path.name}.{os.getpid()}") if _is_file(path) else path
        try:
            self._private(trial).close()
        except OSError as error:
            why = f"{path}: {error.strerror}: rejected rows could not be written there (--rejects FILE)"
            raise UsageError(why) from None
        if trial != path:
            trial.unlink(missing_ok=True)
        self._draft = source.staging.folder.path / "rejects.csv"
        self._out = self._private(self._draft)
        self._writer = csv.writer(self._out)
        self._writer.writerow([*REJECT_COLUMNS, *self._columns])

    @staticmethod
    def _private(path: Path) -> IO[str]:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        return open(number, "w", newline="", encoding="utf-8", errors="surrogateescape")

    def __enter__(self) -> Rejects:
        return self

    def __exit__(self, *_error: object) -> None:
        """What was not closed by then leaves nothing behind."""
        self.close(keep=False)

    def __len__(self) -> int:
        return self._by_reason.total()

    @property
    def by_reason(self) -> dict[str, int]:
        return dict(self._by_reason)

    def add(self, reject: Reject) -> None:
        """Raises `UsageError` when the disk is full."""
        self._by_reason[reject.reason] += 1
        self.replaced += reject.replaced
        if len(self.first) < _SHOWN:
            self.first.append(reject)
        if self._writer is not None:
            place = f"{reject.file}:{reject.line}" if reject.file else reject.line
            try:
                self._writer.writerow([place, reject.reason, reject.detail, *self._cells(reject)])
            except OSError as error:
                raise UsageError(f"{self._path}: {error.strerror}") from None

    def _cells(self, reject: Reject) -> Sequence[str]:
        columns = self._of_file.get(reject.file, self._columns)
        if list(columns) == self._columns or len(self._of_file) == 1:
            return reject.raw
        own = dict(zip(columns, reject.raw, strict=False))
        # Cells that no column has stay at the end: the row is as wrong as it was.
        return [*(own.get(name, "") for name in self._columns), *reject.raw[len(columns) :]]

    def close(self, *, keep: bool) -> str | None:
        """Puts the file in its place, or takes an old one away where there are no rejects; returns where it is.

        Without `keep` nothing is changed.
        """
        if self._out is None or self._path is None or self._draft is None:
            return None
        self._out.close()
        self._out = self._writer = None
        if not keep:
            return None
        if not self._by_reason:
            if _is_file(self._path):
                self._path.unlink(missing_ok=True)
            return None
        try:
            self._put(self._draft, self._path)
        except OSError as error:
            raise UsageError(f"{self._path}: {error.strerror}: the rejected rows were not written") from None
        return self._told

    def _put(self, draft: Path, path: Path) -> None:
        """What is no file (a pipe, /dev/null) is written to as it is; a file is put in its place when it is whole."""
        near = path.with_name(f".{path.name}.{os.getpid()}") if _is_file(path) else path
        with draft.open(newline="", encoding="utf-8", errors="surrogateescape") as whole, self._private(near) as out:
            shutil.copyfileobj(whole, out)
        if near != path:
            near.replace(path)


def _is_file(path: Path) -> bool:
    return path.is_file() or not path.exists()


def _check(path: Path, sources: Sequence[Path]) -> None:
    """Raises `UsageError` where something else than rejects would be written over."""
    if not path.exists():
        return
    if any(source.exists() and path.samefile(source) for source in sources):
        raise UsageError(f"{path} is the source itself: name another file for rejected rows (--rejects FILE)")
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file for rejected rows (--rejects FILE)")
    begin = b""
    if path.is_file():
        with path.open("rb") as old:
            begin = old.read(64)
    if begin and not begin.startswith(",".join(REJECT_COLUMNS).encode() + b","):
        raise UsageError(
            f"{path} is there and holds no rejected rows: it is not written over. Name another file (--rejects FILE)"
        )
