"""The locks: closed, installed without resolving, and all that is imported is declared."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.bootstrap.lock import blocks, part
from tests.support.locks import ENVIRONMENTS, check, holding, installed, pins

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = {"mailonce", "schemas", "producer", "processor", "infra"}
OWN = PACKAGES | {"tests", "benchmarks", "docs", "mailonce_settled"}
EXTRAS = {
    "requirements.lock": ("stack", "dev"),
    "requirements-runtime.lock": ("build", "msk", "otel", "registry", "rocksdb", "sandbox", "sql"),
}


def roots(*extras: str) -> list[str]:
    """What a lock was made from."""
    optional = PROJECT["optional-dependencies"]
    return [*PROJECT["dependencies"], *(line for extra in extras for line in optional[extra])]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_is_closed(name: str, environment: str) -> None:
    """Set-up: every requirement of every locked package is met by a pin, for each Python and platform of the README."""
    found = check((ROOT / name).read_text(), roots(*EXTRAS[name]), ENVIRONMENTS[environment], installed)
    assert found.unmet == []
    assert found.unread == []


@pytest.mark.parametrize("dropped", ["coverage", "yarl", "setuptools", "cramjam", "uvloop"])
def test_a_pin_that_is_missing_is_found(dropped: str) -> None:
    """The check above fails when a lock loses a pin: one of an extra, an indirect one, one with a marker, a direct one."""
    whole = (ROOT / "requirements.lock").read_text()
    text = part(whole, [name for name in blocks(whole) if name != dropped])
    assert set(pins(whole)) - set(pins(text)) == {dropped}
    found = check(text, roots("stack", "dev"), ENVIRONMENTS["Linux x86-64, Python 3.11"], installed)
    assert any(f"needs {dropped}" in line for line in found.unmet)


def test_a_pin_that_is_too_old_is_found() -> None:
    """So does one whose version a package refuses."""
    text = re.sub(r"^yarl==[^ ]+", "yarl==0.1", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    found = check(text, roots("stack", "dev"), ENVIRONMENTS["macOS arm64, Python 3.14"], installed)
    assert any(line.startswith("aiohttp needs yarl") for line in found.unmet)


def test_every_pin_has_a_hash() -> None:
    """What is installed is what was locked, in every lock."""
    for path in ROOT.glob("requirements*.lock"):
        text = path.read_text()
        assert len(pins(text)) > 20, path
        for block in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]:
            assert "--hash=sha256:" in block, f"{path.name}: {block.splitlines()[0]}"


def tracked() -> Iterable[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    return [ROOT / name for name in listed if name and not name.endswith(".lock") and (ROOT / name).is_file()]


def installations(text: str) -> list[str]:
    """The commands that install from a lock, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [
        line
        for line in joined.splitlines()
        if re.search(r"\bpip\b.*\binstall\b", line) and re.search(r"-r\s|--require-hashes|\.lock\b", line)
    ]


def test_no_lock_is_installed_by_resolving() -> None:
    """A release that is newer than the lock cannot break an installation: pip resolves nowhere."""
    found = [
        (path.relative_to(ROOT), line)
        for path in tracked()
        if path.suffix in {"", ".sh", ".yml", ".yaml", ".md", ".service"} and path != Path(__file__)
        for line in installations(path.read_text(errors="replace"))
    ]
    assert {str(path) for path, _ in found} >= {"Makefile", "infra/Dockerfile"}
    for path, line in found:
        assert "--no-deps" in line, f"{path} resolves: {line.strip()}"
        assert "--require-hashes" in line, f"{path} does not compare hashes: {line.strip()}"


def test_an_installation_that_resolves_is_found() -> None:
    """The check above knows such a line when it sees one."""
    assert installations("x pip install --require-hashes \\\n  -r requirements.lock\n") != []
    assert installations("pip install 'mailonce[stack]'") == []


def test_the_lock_is_installed_here() -> None:
    """pip and uv leave what the lock says, whichever did it: versions compared one by one."""
    environment = ENVIRONMENTS[f"Linux x86-64, Python 3.{sys.version_info[1]}"]
    for name, pin in holding((ROOT / "requirements.lock").read_text(), environment).items():
        assert pin.specifier.contains(importlib.metadata.version(name), prereleases=True), name


def imports(folders: Iterable[str]) -> dict[str, set[str]]:
    """Every module of others that files of `folders` import, at any depth, by the files."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                for name in names:
                    top = name.partition(".")[0]
                    if top not in OWN | LATER and top not in sys.stdlib_module_names:
                        found.setdefault(top, set()).add(str(path.relative_to(ROOT)))
    return found


def undeclared(used: dict[str, set[str]], declared: Iterable[str]) -> list[str]:
    """Imports whose package none of the `declared` requirements names."""
    names = {canonicalize_name(Requirement(line).name) for line in declared}
    owners = importlib.metadata.packages_distributions()
    return sorted(
        f"{module} ({sorted(files)[0]})"
        for module, files in used.items()
        if not names & {canonicalize_name(owner) for owner in owners.get(module, [])}
    )


LATER = {"compression"}
"""Of the standard library since Python 3.14."""
BESIDE = {"airflow", "celery", "dbos"}
"""In environments of their own: `make airflow`, `make bench-peers`."""


def test_what_we_import_is_declared() -> None:
    """No package is used only because another brings it: the product's by its dependencies and extras, the tests' by dev."""
    product = [line for name in PROJECT["optional-dependencies"] if name != "dev" for line in roots(name)]
    ours = {name: files for name, files in imports(sorted(PACKAGES)).items() if name not in BESIDE}
    assert undeclared(ours, product) == []
    theirs = {name: files for name, files in imports(["tests", "benchmarks", "docs"]).items() if name not in BESIDE}
    assert undeclared(theirs, roots("stack", "dev")) == []


def test_an_import_that_is_not_declared_is_found() -> None:
    """The check above fails when a requirement goes."""
    without = [line for line in roots("stack", "dev") if not line.startswith(("pydantic", "msgspec"))]
    assert [line.split()[0] for line in undeclared({"pydantic": {"x"}, "msgspec": {"y"}, "redis": {"z"}}, without)] == [
        "msgspec",
        "pydantic",
    ]
