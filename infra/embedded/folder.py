"""Whether a folder can be a stack's; what cannot work is said before anything is started in it."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path

from schemas.runtime.errors import SetupError

__all__ = ["absolute", "check_name", "check_owner"]


def absolute(folder: Path) -> Path:
    """Raises `SetupError` where the shell stands in a folder that somebody removed."""
    try:
        return folder.absolute()
    except FileNotFoundError:
        raise SetupError("the present folder was removed: go to one that is there") from None


def check_name(folder: Path) -> None:
    """Raises `SetupError` for a folder in which Java cannot open a file."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise SetupError(f"the name of the folder {str(folder)!a} is not UTF-8: use another --dir") from None


def check_owner(state_file: Path) -> None:
    """Raises `SetupError` for another user's stack: it cannot be read or stopped, or would be spoilt for them."""
    with suppress(OSError):
        owner = state_file.stat().st_uid
        if owner != os.geteuid():
            raise SetupError(f"the stack in {state_file.parent} belongs to {_user(owner)}: use another --dir")


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
