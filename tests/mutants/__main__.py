"""Mutants of the source, run one after the other: ``python -m tests.mutants [WORD...]``; those whose names hold a word.

`make test-all` runs them as well (`tests/mutants/test_mutants.py`). Ends with 1 when one was not noticed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from infra.embedded import Stack
from tests.mutants.copy import Copy
from tests.mutants.mutant import Mutant
from tests.mutants.table import MUTANTS

__all__ = ["main"]


def main(words: list[str]) -> int:
    chosen = [one for one in MUTANTS if not words or any(word in f"{one.test} {one.path}" for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", tied=True)
        servers = any(one.needs_servers for one in chosen)
        try:
            if servers:
                stack.up(("kafka",))
            copy = Copy(Path(folder) / "copy")
            missed = [one.name for one in chosen if not _noticed(copy, one, stack.folder if servers else "")]
        finally:
            stack.down()
    print(f"{len(chosen)} mutants, {len(missed)} not noticed", *missed, sep="\n  ")
    return 1 if missed else 0


def _noticed(copy: Copy, mutant: Mutant, common: Path | str) -> bool:
    began = time.monotonic()
    why = copy.missed(mutant, common if mutant.needs_servers else "")
    print(f"{mutant.name}: {why or 'noticed'} ({time.monotonic() - began:.0f} s)", flush=True)
    return not why


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
