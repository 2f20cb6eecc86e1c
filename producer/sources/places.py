"""Which files a local place means: one, those that a pattern fits, all of a folder, or what comes over a pipe."""

from __future__ import annotations

import glob
import os
import shutil
import stat
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from producer.sources.kinds import passed_over
from schemas.runtime.errors import SourceError, UsageError

__all__ = ["STDIN", "Chosen", "choose", "names_of", "piped", "several"]

STDIN = {"-", "/dev/stdin"}
_MAGIC = "*?["


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some of a place's files, in the order of their names."""

    files: Sequence[str]
    passed_over: Sequence[str]
    """what writers put beside their data, and what is empty"""

    def note(self) -> list[str]:
        """What was passed over, in words."""
        if not self.passed_over:
            return []
        first = ", ".join(sorted(self.passed_over)[:3])
        more = f" and {len(self.passed_over) - 3} more" if len(self.passed_over) > 3 else ""
        return [f"passed over, as no data: {first}{more} (name such a file itself if it is meant)"]


def choose(found: Sequence[tuple[str, int]], fixed: str, place: str) -> Chosen:
    """Files by path and size, without what is no data; `fixed` is the part of their paths that was named.

    Raises `SourceError` when none is left.
    """
    if not found:
        raise SourceError(f"{place}: no file is named like that")
    over = {path for path, size in found if size == 0 or passed_over(path.removeprefix(fixed))}
    chosen = Chosen(sorted(path for path, _ in found if path not in over), sorted(over))
    if not chosen.files:
        raise SourceError(f"{place} has no file with data: {'; '.join(chosen.note())}")
    return chosen


def several(place: str) -> Chosen | None:
    """The files of a folder or a pattern; ``None`` for a place that is neither."""
    path = Path(place)
    if path.is_dir():
        pattern = os.path.join(glob.escape(place), "**")
        fixed = str(path) + "/"
    elif any(char in place for char in _MAGIC) and not path.exists():
        pattern = place
        parts = place.split("/")
        first = next(at for at, part in enumerate(parts) if any(char in part for char in _MAGIC))
        # A part that begins with what is passed over was named on purpose.
        fixed = "/".join(parts[:first]) + "/" if first else ""
        if parts[first].startswith(("_", ".")):
            fixed += parts[first][0]
    else:
        return None
    found = [one for one in glob.glob(pattern, recursive=True, include_hidden=path.is_dir()) if Path(one).is_file()]
    return choose([(one, os.stat(one).st_size) for one in found], fixed, place)


def names_of(paths: Sequence[Path]) -> list[str]:
    """What each of several files is called: its name, or its path where two have one name."""
    names = Counter(path.name for path in paths)
    return [path.name if names[path.name] == 1 else str(path) for path in paths]


def piped(place: str, folder: Path) -> Path | None:
    """What comes over a pipe, written down in `folder`; ``None`` for a place that is a file.

    Raises `SourceError` for one that there is not, `UsageError` for a terminal.
    """
    if place in STDIN:
        if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
            raise UsageError(f"--source {place}: nothing is piped in: `cat users.csv | mailonce … --source -`")
        return _kept(sys.stdin.buffer, folder / "stdin")
    try:
        mode = os.stat(place).st_mode
    except OSError:
        raise SourceError(f"{place}: there is no such file") from None
    if stat.S_ISREG(mode):
        return None
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        raise SourceError(f"{place} is no file")
    try:
        with open(place, "rb") as source:
            return _kept(source, folder / "piped")
    except OSError as error:
        raise SourceError(f"{place}: {error.strerror}") from None


def _kept(source: IO[bytes], path: Path) -> Path:
    with path.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    return path
