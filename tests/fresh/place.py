"""The folders of a trial: clones of the last commit, empty homes, and what is left running in them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Place", "a_place", "end_processes_in", "give"]

ROOT = Path(__file__).parents[2]
_BUILT = (".venv", ".mailonce", ".git", "*.egg-info", "build", "__pycache__", ".*_cache", ".hypothesis")


class Place:
    """A folder whose name has a space and an apostrophe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def checkout(self, name: str) -> Path:
        """A clone of the last commit, made when it is first asked for; without git a copy of the files."""
        target = self.folder / name
        if not target.exists():
            clone = ["git", "clone", "--quiet", str(ROOT), str(target)]
            if shutil.which("git") is None or subprocess.run(clone, check=False, capture_output=True).returncode:
                shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*_BUILT), dirs_exist_ok=True)
        return target

    def home(self, name: str) -> Path:
        home = self.folder / f"home of {name}"
        home.mkdir(exist_ok=True)
        return home

    def remove(self, name: str) -> None:
        """A clone that no condition needs any more, and its processes."""
        end_processes_in(self.folder / name)
        shutil.rmtree(self.folder / name, ignore_errors=True)


@contextmanager
def a_place(*, keep: bool) -> Iterator[Place]:
    """Ends what still runs there and removes it, unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="mailonce fresh 'n' "))
    folder.chmod(0o755)
    try:
        yield Place(folder)
    finally:
        end_processes_in(folder)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def give(folder: Path, user: int) -> None:
    """Everything in it to another user."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


def end_processes_in(folder: Path) -> None:
    """Those that stand in a folder of ours: servers, and what a killed set-up had started. Linux only."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            where = Path(os.readlink(entry / "cwd"))
            if where == folder or folder in where.parents:
                os.kill(int(entry.name), signal.SIGKILL)
