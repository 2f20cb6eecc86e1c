"""Where our packages are imported from: beside this one, whatever lies in the folder that a command is called in.

``python -m`` puts the present folder before everything else, so a ``schemas.py`` or a ``redis.py`` of the user's own
would be taken for ours or the library's. This module runs before that is settled: it imports nothing that is not loaded
anyway.
"""

import os
import sys

__all__ = ["check_packages", "leave_folder"]

PACKAGES = ("schemas", "producer", "processor", "infra")
_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def leave_folder() -> None:
    """Takes the present folder, as ``python -m`` put it there, off the path; not where our packages live in it."""
    if sys.flags.safe_path or not sys.path:
        return
    try:
        here = os.getcwd()
    except OSError:
        here = ""
    if sys.path[0] in {"", here} and not _same(here, _HOME):
        del sys.path[0]


def check_packages() -> None:
    """Ends the program with one sentence when a package of ours would come from elsewhere (``PYTHONPATH``, say)."""
    from importlib.util import find_spec

    for name in PACKAGES:
        spec = find_spec(name)
        # A folder without __init__.py has no origin, but a place.
        folders = list(spec.submodule_search_locations or ()) if spec else []
        if not any(_same(folder, os.path.join(_HOME, name)) for folder in folders):
            place = (spec and spec.origin) or next(iter(folders), "nowhere")
            sys.stderr.write(
                f"mailonce: the package `{name}` is found in {place}, not beside mailonce in {_HOME}: rename that one, "
                "or take its folder out of PYTHONPATH\n"
            )
            sys.exit(2)


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
