"""What people look for in a repository is there and true: licence, how to contribute, workflows whose commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.json_schema import environment_without

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
VERBS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSIONS = {found[1] for line in PROJECT["classifiers"] if (found := re.fullmatch(r".*Python :: (3\.\d+)", line))}


def make_verbs(text: str) -> set[str]:
    """The verbs of `make` that a text tells its reader to run."""
    return set(re.findall(r"(?:`|^\s+(?:- run: )?|run: )make ([a-z][a-z-]*)", text, re.MULTILINE))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_a_workflow_fits_its_schema(workflow: Path, schema: str, tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", schema, workflow]
    environment = environment_without(tmp_path / "without")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "place", [*(str(path.relative_to(ROOT)) for path in WORKFLOWS), "README.md", "CONTRIBUTING.md", "SECURITY.md"]
)
def test_every_make_verb_that_is_named_exists(place: str) -> None:
    named = make_verbs((ROOT / place).read_text())
    assert named, f"{place} names no verb: is it looked for rightly?"
    assert named <= VERBS, f"{place} names verbs that the Makefile lacks: {sorted(named - VERBS)}"


def test_the_workflow_tries_every_python_that_is_promised() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    assert set(jobs["test"]["strategy"]["matrix"]["python"]) == VERSIONS
    runs = " ".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    assert {"test", "fresh", "sbom"} <= set(re.findall(r"make ([a-z-]+)", runs))
    assert "docker build" in runs


def test_the_workflow_runs_what_the_readme_says() -> None:
    """The test command of README, CI script and workflow is one."""
    assert "make test" in (ROOT / "README.md").read_text()
    assert re.search(r"^make test$", (ROOT / ".ci/run").read_text(), re.MULTILINE)


def test_the_wheel_carries_the_licence(tmp_path: Path) -> None:
    """Apache-2.0 in the metadata, its text in the wheel; built with the tools at hand, no network."""
    copied = tmp_path / "source"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout: which files belong to it is not known")
    for name in tracked.stdout.decode().split("\0")[:-1]:
        if name.startswith(("tests/", "docs/", "benchmarks/", "requirements")) or not (ROOT / name).exists():
            continue
        (copied / name).parent.mkdir(parents=True, exist_ok=True)
        (copied / name).write_bytes((ROOT / name).read_bytes())
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", build, tmp_path]
    done = subprocess.run(command, cwd=copied, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        (metadata,) = [name for name in packed.namelist() if name.endswith(".dist-info/METADATA")]
        told = Parser().parsestr(packed.read(metadata).decode())
        (licence,) = [name for name in packed.namelist() if name.endswith("/licenses/LICENSE")]
        assert packed.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert told["License-Expression"] == "Apache-2.0"
    assert b"Apache License" in (ROOT / "LICENSE").read_bytes()
