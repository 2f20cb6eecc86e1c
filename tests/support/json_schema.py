"""`jsonschema` without its grammar of international addresses.

Making that ready takes eight seconds of CPU at every import, and no schema here has such an address. `jsonschema` does
without where the package is missing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["environment_without", "jsonschema_without"]

_GRAMMAR = "rfc3987_syntax"


def jsonschema_without() -> Any:
    """The module, and in this process every later import of it."""
    sys.modules.setdefault(_GRAMMAR, None)  # type: ignore[arg-type]
    import jsonschema

    return jsonschema


def environment_without(folder: Path) -> dict[str, str]:
    """The environment of a program that validates; `folder` is for this alone."""
    folder.mkdir()
    (folder / f"{_GRAMMAR}.py").write_text('raise ImportError("the grammar is not needed")\n')
    return os.environ | {"PYTHONPATH": str(folder)}
