"""Which interpreters there are: the one at hand, and those in PATH and in pyenv's folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MINORS", "Python", "at_hand", "chosen", "found", "reachable"]

MINORS = (11, 12, 13, 14)
_SAY = "import sys, ensurepip, venv; print(sys.version_info[1], sys.base_prefix, sys.executable, sep='\\n')"


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter outside of virtual environments."""

    minor: int
    path: str

    @property
    def name(self) -> str:
        return f"3.{self.minor}"


def at_hand() -> Python:
    """The one that runs this, or what its virtual environment was made from."""
    minor = sys.version_info[1]
    base = Path(sys.base_prefix, "bin", f"python3.{minor}")
    return Python(minor, str(base) if base.exists() else sys.executable)


def found() -> list[Python]:
    """One of each minor version, the one at hand for its own."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [shutil.which(f"python3.{minor}") for minor in MINORS]
    candidates += [str(path) for minor in MINORS for path in sorted(pyenv.glob(f"3.{minor}.*/bin/python3.{minor}"))]
    return chosen([at_hand(), *filter(None, map(_asked, filter(None, candidates)))])


def chosen(pythons: Iterable[Python]) -> list[Python]:
    """The first of each minor version that is supported."""
    first: dict[int, Python] = {}
    for python in pythons:
        if python.minor in MINORS:
            first.setdefault(python.minor, python)
    return list(first.values())


def _asked(path: str, *, user: int | None = None) -> Python | None:
    """What a program says of itself; nothing of a shim without a version behind it, or one that cannot make a venv."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", _SAY],
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    if done.returncode:
        return None
    minor, _, executable = done.stdout.splitlines()
    return Python(int(minor), executable)


def reachable(preferred: Python, user: int) -> Python | None:
    """`preferred`, or another that this user can start: pyenv's often lie in the home of root."""
    plain = [f"/usr/bin/python3.{minor}" for minor in MINORS]
    return next(filter(None, (_asked(path, user=user) for path in (preferred.path, *plain))), None)
