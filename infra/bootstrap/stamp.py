"""Whether `.venv` is what it should be: made whole, from this lock, by this Python, for this folder.

By contents, not by times: `git clone` gives files whatever times it likes. The stamp is written last and taken away
first, so an environment without one was interrupted, or was made by other means.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tomllib
from pathlib import Path

__all__ = ["base_python", "clear", "expected", "kind_of", "read", "write"]

_FORM = 2
"""Another number remakes every environment."""
_STAMP = ".installed"
_MARK = ".mailonce"


def base_python() -> str:
    """The interpreter below any virtual environment that runs this."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def expected(root: Path) -> dict[str, str]:
    """What the stamp says when nothing is left to do."""
    return {
        "form": str(_FORM),
        "lock": _hash(root / "requirements.lock"),
        "project": _project(root / "pyproject.toml"),
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}",
        "base": base_python(),
        "root": str(root),
    }


def read(root: Path) -> dict[str, str] | None:
    try:
        found = json.loads((root / ".venv" / _STAMP).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write(root: Path, stamp: dict[str, str]) -> None:
    """In one move: a killed set-up leaves no half a stamp."""
    target = root / ".venv" / _STAMP
    work = target.with_name(f"{_STAMP}.new")
    work.write_text(json.dumps(stamp, indent=1))
    work.replace(target)


def clear(root: Path) -> None:
    """Takes everything out of `.venv`. The mark is there before anything goes and stays: it says the folder is ours."""
    folder = root / ".venv"
    folder.mkdir(exist_ok=True)
    (folder / _MARK).touch()
    (folder / _STAMP).unlink(missing_ok=True)
    for path in list(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != _MARK:
            path.unlink()


def kind_of(root: Path) -> str:
    """`none`, `environment` (made whole or not), or `foreign`: something else under that name, not ours to remove."""
    folder = root / ".venv"
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        return "foreign"
    if not folder.exists():
        return "none"
    known = any((folder / name).exists() for name in ("pyvenv.cfg", _STAMP, _MARK))
    return "environment" if known or not any(folder.iterdir()) else "foreign"


def _project(path: Path) -> str:
    """What an installation of ours depends on; a linter's settings remake no environment."""
    told = tomllib.loads(path.read_text())
    parts = [told.get("project"), told.get("build-system"), told.get("tool", {}).get("setuptools")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
