"""The parts list of the image says who needs what."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.bootstrap.lock import needed_by
from tests.setup.test_locks import roots
from tests.support.json_schema import environment_without

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What `make sbom` writes, and says."""
    folder = tmp_path_factory.mktemp("sbom")
    target, environment = folder / "build/sbom.json", environment_without(folder / "without")
    command = [sys.executable, "-m", "infra.sbom", str(target)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return json.loads(target.read_text()), done.stderr


def edges(bom: dict[str, Any]) -> dict[str, set[str]]:
    names = {part["bom-ref"]: part["name"] for part in (bom["metadata"]["component"], *bom["components"])}
    return {names[edge["ref"]]: {names[ref] for ref in edge.get("dependsOn", [])} for edge in bom["dependencies"]}


def test_mailonce_needs_what_it_declares(made: tuple[dict[str, Any], str]) -> None:
    """Its dependencies and those of the extras that the image has, and nothing that only others bring."""
    command = re.search(
        r"^\t.*?(--extra .*)-o requirements-runtime\.lock$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert command is not None
    declared = [Requirement(line) for line in roots(*re.findall(r"--extra (\S+)", command[1]))]
    wanted = {canonicalize_name(requirement.name) for requirement in declared}
    assert edges(made[0])["mailonce"] == wanted


def test_every_part_is_there_for_a_reason(made: tuple[dict[str, Any], str]) -> None:
    """From mailonce each can be reached; and the tool has nothing to warn of."""
    needs, reached, ahead = edges(made[0]), {"mailonce"}, ["mailonce"]
    while ahead:
        new = needs[ahead.pop()] - reached
        reached |= new
        ahead += new
    assert reached == {"mailonce", *(part["name"] for part in made[0]["components"])}
    assert made[1] == ""


def test_both_forms_of_a_lock_are_read() -> None:
    """One user on the line itself, several below it; where versions come from is nobody's need."""
    lock = "a==1 \\\n    --hash=sha256:0\n    # via b\nb==1\n    # via\n    #   -c other.lock\n    #   c\n    #   us (pyproject.toml)\n"
    assert needed_by(lock) == {"a": {"b"}, "b": {"c", "us"}}
