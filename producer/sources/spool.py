"""A folder for what a source writes down, gone with the source or at the end of the process."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

__all__ = ["Spool"]


class Spool:
    """Whoever keeps this keeps the folder."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mailonce-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
