"""Every lock, by the bundled pip of every Python of this machine, without resolving. Asks the package index: some minutes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from infra.bootstrap.platforms import facts
from infra.bootstrap.wheels import pythons
from tests.setup.test_locks import EXTRAS, roots
from tests.support.locks import ENVIRONMENTS, check, holding

ROOT = Path(__file__).parents[2]
ROOTS = {
    **{name: roots(*extras) for name, extras in EXTRAS.items()},
    "requirements-bench.lock": roots("bench"),
    "requirements-audit.lock": ["pip-audit>=2.9"],
    "requirements-airflow.lock": ["apache-airflow>=3,<4"],
}
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def found() -> dict[str, str]:
    """The Pythons that mailonce knows, by their versions: on the PATH, or installed by pyenv."""
    there = {f"3.{sys.version_info[1]}": sys.executable}
    for python in pythons():
        kept = sorted(
            Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob(f"versions/{python}.*/bin/python")
        )
        for candidate in filter(None, (*map(str, kept), shutil.which(f"python{python}"))):
            if (
                python not in there
                and subprocess.run([candidate, "-c", ""], check=False, capture_output=True).returncode == 0
            ):
                there[python] = candidate
    return there


FOUND = found()


def plan(python: str, name: str, folder: Path) -> dict[str, dict[str, Any]]:
    """What pip would install, with each wheel's own metadata."""
    if not folder.exists():
        subprocess.run([FOUND[python], "-m", "venv", folder], check=True)
    report = folder / "report.json"
    command = [
        folder / "bin/python",
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--ignore-installed",
        "--report",
        report,
    ]
    done = subprocess.run(
        [*command, "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", ROOT / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    items = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return {canonicalize_name(item["name"]): item for item in items}


@pytest.mark.skipif(facts().machine != "x86_64" or facts().system != "Linux", reason="the environment of one platform")
@pytest.mark.parametrize("python", FOUND)
def test_every_lock_without_a_resolver(python: str, tmp_path: Path) -> None:
    """From the lock alone, and closed by the wheels' own metadata: nothing that they need is missing."""
    environment = ENVIRONMENTS[f"Linux x86-64, Python {python}"]
    for name, wanted in ROOTS.items():
        text = (ROOT / name).read_text()
        planned = plan(python, name, tmp_path / "venv")
        assert {key: item["version"] for key, item in planned.items()} == {
            key: next(iter(pin.specifier)).version for key, pin in holding(text, environment).items()
        }
        metadata = {key: item.get("requires_dist", []) for key, item in planned.items()}
        result = check(text, wanted, environment, metadata.get)
        assert (result.unmet, result.unread) == ([], []), name
