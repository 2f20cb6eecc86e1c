"""Runs a program with what pip was told of networks and indexes: ``python -m infra.bootstrap.told PROGRAM ARGUMENTS…``.

uv and requests read none of pip's settings. The set-up says them to the programs that it starts, this to `make lock`'s.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from infra.bootstrap import index

__all__ = ["environment", "main"]


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """`given`, with pip's settings as variables of uv and requests. Raises `Untranslatable`."""
    clean = index.kept(given)
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    settings = index.pip_settings(listed.stdout)
    return clean | index.for_uv(settings, clean) | index.for_requests(settings, clean)


def main(command: list[str]) -> None:
    """Becomes the program."""
    try:
        told = environment(os.environ)
    except index.Untranslatable as error:
        sys.exit(f"mailonce: uv has no word for {error}")
    os.execvpe(command[0], command, told)  # noqa: S606 - the program is its caller's


if __name__ == "__main__":
    main(sys.argv[1:])
