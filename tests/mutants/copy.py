"""A copy of the checkout in which a line is taken out while a test runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.mutant import ROOT, Mutant

__all__ = ["Copy"]

PACKAGES = ("docs", "infra", "mailonce", "processor", "producer", "schemas", "tests")
FAILED = 1
"""pytest's code when tests failed; any other says that none was run as it should."""


class Copy:
    """Of the source, in a folder of its own; the environment is the checkout's.

    Args:
        folder: where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in PACKAGES:
            shutil.copytree(ROOT / name, folder / name)
        for name in ("CHANGELOG.md", "Makefile", "README.md", "pyproject.toml"):
            shutil.copy2(ROOT / name, folder / name)
        for name in (".venv", ".mailonce"):
            if (ROOT / name).exists():
                (folder / name).symlink_to(ROOT / name)

    def missed(self, mutant: Mutant, common: Path | str = "") -> str:
        """Why the test does not notice the mutant; empty when it fails as it should.

        Args:
            mutant: which.
            common: the folder of a Kafka that runs already; empty: the test starts its own.
        """
        test, _, chosen = mutant.test.partition(" ")
        with self._broken(mutant):
            ran = subprocess.run(
                [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "long or not long"]
                + (["-k", chosen] if chosen else [])
                + [test],
                cwd=self._folder,
                # A program of the copy, wherever it starts, finds the copy's packages before those that are installed.
                env=os.environ | {"PYTHONPATH": str(self._folder), "MAILONCE_TEST_COMMON": str(common)},
                capture_output=True,
                text=True,
                check=False,
            )
        if ran.returncode == FAILED and "\nFAILED " in ran.stdout:
            return ""
        return f"pytest ended with {ran.returncode}:\n{ran.stdout[-2000:]}{ran.stderr[-1000:]}"

    @contextmanager
    def _broken(self, mutant: Mutant) -> Iterator[None]:
        path = self._folder / mutant.path
        path.write_text(mutant.broken())
        try:
            yield
        finally:
            shutil.copy2(ROOT / mutant.path, path)
