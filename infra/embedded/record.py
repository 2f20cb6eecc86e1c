"""Which servers a stack started: its record in one file, and each server's own note in its folder.

Whoever starts a server may be killed before the record names it. It would run on, and hold its port and its data, while
nobody knew of it: so it notes itself before it begins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from schemas.runtime.errors import SetupError

__all__ = ["Running", "noted_in", "noting", "read", "save"]


@dataclass(frozen=True, slots=True)
class Running:
    """A started server. `created` tells it from a later process with the same pid."""

    name: str
    pid: int
    created: float
    port: int


def read(file: Path) -> dict[str, Running]:
    """The servers that the record names, running or not; none where there is no record. Raises `SetupError`."""
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            return {entry["name"]: Running(**entry) for entry in json.loads(file.read_text())}
    except OSError as error:
        raise SetupError(f"the stack in {file.parent} cannot be read: {error.strerror}; use another --dir") from None
    except (ValueError, TypeError, KeyError):
        raise SetupError(f"{file} is damaged: stop its servers, remove it, then start again") from None
    return {}


def save(file: Path, known: dict[str, Running]) -> None:
    """In one move: who reads meanwhile sees the old record or the new one."""
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps([asdict(running) for running in known.values()]))
    partial.replace(file)


@contextmanager
def noting(name: str, folder: Path, port: int) -> Iterator[Callable[[], None]]:
    """What a new child calls before it becomes the server: it writes its pid beside `port` into ``NAME.pid``.

    Raises `OSError` where the note cannot be made.
    """
    note = os.open(folder / f"{name}.pid", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(note, b"%d " % port)
        yield lambda: _write_pid(note)
    finally:
        os.close(note)


def _write_pid(note: int) -> None:
    os.write(note, b"%d\n" % os.getpid())


def noted_in(folder: Path) -> Iterator[Running]:
    """The servers that run in the folders below `folder`, as far as they noted themselves."""
    for note in sorted(folder.glob("*/*.pid")):
        with suppress(OSError, ValueError, OverflowError, psutil.Error):
            port, pid = map(int, note.read_text().split())
            process = psutil.Process(pid)
            # The pid may be somebody else's by now; a server stands in its folder as long as it runs.
            if os.path.samefile(process.cwd(), note.parent) and process.status() != psutil.STATUS_ZOMBIE:
                yield Running(note.stem, pid, process.create_time(), port)
