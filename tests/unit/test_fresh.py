"""The pure parts of `make fresh`: what is tried, with which environment and words, and what its table says."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fresh import place
from tests.fresh.conditions import DEAD_PROXY, KINDS, Cache, Condition, Step, conditions
from tests.fresh.pythons import Python, chosen
from tests.fresh.runner import environment, words
from tests.fresh.table import Result, failed, notes, table

ROOT = Path(__file__).parents[2]
PLAIN = Condition("plain", (), ("one",))


@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_it_runs_are_there(kind: str) -> None:
    """One that was renamed would fail only on a bare machine, minutes later."""
    place, _, name = KINDS[kind].partition("::")
    tree = ast.parse((ROOT / place).read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert not name or name.partition("[")[0] in names


def test_every_condition_has_a_name_and_an_end() -> None:
    """Names are rows and log files; a clone that several use is used in a row, so that it can go early."""
    whole = conditions(whole=True)
    assert len({one.name for one in whole}) == len(whole)
    for one in whole:
        assert one.checkouts
        assert len({step.name for step in one.steps}) == len(one.steps)
        assert one.steps[-1].killed_after == 0
    order = [name for one in whole for name in one.checkouts]
    assert len(list(dict.fromkeys(order))) == sum(1 for a, b in zip([None, *order], order, strict=False) if a != b)
    assert whole[0].cache is Cache.OWN  # it fills what the others share
    kinds = {step.name for step in whole[0].steps}
    assert {"setup", "demo", "unit", "properties", "contracts", "simulation", "integration", "chaos"} <= kinds


def test_only_ways_to_programs_and_registries_come_from_outside(tmp_path: Path) -> None:
    """No cache, no setting, no locale of the developer's; certificates and indexes of their network."""
    outer = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "XDG_CACHE_HOME": "/home/me/.cache",
        "MAILONCE_FROM_ADDRESS": "me@example.com",
        "AWS_REGION": "eu-west-1",
        "VIRTUAL_ENV": "/x",
        "LANG": "de_DE.UTF-8",
        "PYTHONPATH": "/x",
        "PIP_INDEX_URL": "https://registry.example.net/simple",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "https_proxy": "http://proxy.example.net:3128",
    }
    env = environment(outer, PLAIN, tmp_path, None)
    assert set(env) & set(outer) == {"PATH", "HOME", "PIP_INDEX_URL", "SSL_CERT_FILE", "https_proxy"}
    assert env["HOME"] == str(tmp_path)
    assert (env["LC_ALL"], env["TZ"]) == ("C", "Pacific/Kiritimati")
    assert environment(outer, PLAIN, tmp_path, tmp_path / "c")["XDG_CACHE_HOME"] == str(tmp_path / "c")
    dead = environment(outer, Condition("d", (), ("one",), DEAD_PROXY), tmp_path, None)
    assert dead["https_proxy"] == dead["HTTP_PROXY"] == "http://127.0.0.1:9"


def test_a_command_is_words() -> None:
    """A space in a path stays inside its word."""
    step = Step("x", ("make", "PYTHON={python}", "{bin}/python"))
    made = words(step, "/a b/python", Path("/c 'd'"), ["unshare"])
    assert made == ["unshare", "make", "PYTHON=/a b/python", "/c 'd'/.venv/bin/python"]


def test_of_each_minor_version_the_first() -> None:
    """The one at hand comes first; what is not supported is left out."""
    pythons = [Python(12, "hand"), Python(10, "old"), Python(12, "other"), Python(14, "new"), Python(15, "next")]
    assert chosen(pythons) == [Python(12, "hand"), Python(14, "new")]


OK = Result("3.12", "bare", "setup", "ok", 61.4)
BAD = Result("3.12", "bare", "demo", "failed", 3.2, "ended with 1: no")
LEFT_OUT = Result("3.12", "no network", "", "skipped", note="no namespaces")


def test_the_table_has_a_row_a_condition() -> None:
    """What was not tried stands in it with its reason."""
    head, bare, offline = table([OK, BAD, LEFT_OUT]).splitlines()
    assert head.split() == ["Python", "condition", "steps"]
    assert bare == "3.12    bare        setup: ok 61 s; demo: failed 3 s"
    assert offline == "3.12    no network  skipped: no namespaces"
    assert notes([OK, BAD, LEFT_OUT]) == ["3.12 bare, demo: ended with 1: no"]


def test_one_failure_fails_and_nothing_tried_is_no_success() -> None:
    """Its exit code is what continuous integration looks at."""
    assert not failed([OK, LEFT_OUT])
    assert failed([OK, BAD])
    assert failed([LEFT_OUT])
    assert failed([])


def test_without_git_the_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of the sources has no commit; what was built is no part of a fresh checkout."""
    root = tmp_path / "root"
    for name in ("Makefile", "infra/x.py", ".venv/bin/python", "infra/__pycache__/x.pyc", ".mailonce/stack/stack.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    monkeypatch.setattr(place, "ROOT", root)
    with place.a_place(keep=False) as at:
        assert "'" in str(at.folder)
        assert " " in str(at.folder)
        copy = at.checkout("one")
        assert sorted(str(path.relative_to(copy)) for path in copy.rglob("*")) == ["Makefile", "infra", "infra/x.py"]
    assert not at.folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc here")
def test_what_runs_in_the_place_ends_with_it(tmp_path: Path) -> None:
    """A set-up that was killed leaves programs in sessions of their own; other programs stay."""
    ours, other = (subprocess.Popen(["sleep", "600"], cwd=folder) for folder in (tmp_path, "/"))
    try:
        place.end_processes_in(tmp_path)
        assert ours.wait(60) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
