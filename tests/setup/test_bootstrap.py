"""A set-up completes, whatever happened before, and says what it does."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.bootstrap import run, stamp
from infra.bootstrap.jobs import Stop
from infra.bootstrap.steps import Steps
from tests.support.checkout import Checkout

pytestmark = pytest.mark.slow


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "o'brien's mail/once", tmp_path / "home")


def until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"ended with {process.wait()} before it said {words!r}")


def killed_in(checkout: Checkout, step: str) -> None:
    """SIGKILL in the middle of a step, whose program goes on alone."""
    with checkout.start("--no-jars") as process:
        until(process, step)
        process.kill()
    assert stamp.read(checkout.root) is None


def test_a_set_up(checkout: Checkout) -> None:
    """After one that was killed, in a folder with a space and an apostrophe, by pip where uv cannot; the second waits, the
    third has nothing to do."""
    killed_in(checkout, "virtual environment ...")
    with checkout.start("--no-jars", LC_ALL="C") as first:
        until(first, "virtual environment ...")
        assert checkout.run("--no-jars") == (0, "another set-up is at work in this folder: waiting for its end\n")
        said, _ = first.communicate(timeout=600)
    assert first.returncode == 0, said
    for step in ("installer", "pip goes on", "packages by pip", "mailonce itself", "bytecode"):
        assert step in said
    assert checkout.works()
    assert list(checkout.root.glob("mailonce/__pycache__/*.pyc")) != []
    os.utime(checkout.root / "requirements.lock")
    assert checkout.run("--no-jars") == (0, ""), "git clone gives files whatever times it likes"
    make = ["make", "-s", "venv"]
    done = subprocess.run(
        make, cwd=checkout.root, env=checkout.environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stderr


@pytest.mark.long
def test_the_lock_decides(checkout: Checkout) -> None:
    """Another lock or another folder is a reason to begin anew, whatever the times of the files."""
    assert checkout.run("--no-jars")[0] == 0
    checkout.lock({"one": "1", "two": "3"})
    os.utime(checkout.root / "requirements.lock", (0, 0))
    assert checkout.run("--no-jars")[0] == 0
    assert checkout.version("two") == "3"
    moved = checkout.root.with_name("moved")
    checkout.root.rename(moved)
    checkout.root = moved
    assert checkout.run("--no-jars")[0] == 0
    assert checkout.works()


@pytest.mark.long
@pytest.mark.parametrize("at", ["virtual environment ...", "installer ..."])
def test_killed_and_run_again(checkout: Checkout, at: str) -> None:
    """SIGKILL in the middle of a step, whose program goes on alone: the next set-up waits for it, and completes."""
    killed_in(checkout, at)
    code, said = checkout.run("--no-jars")
    assert code == 0, said
    assert checkout.works()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_stopped_by_the_user(checkout: Checkout, number: int) -> None:
    """Ctrl-C: a word, 130, and nothing left running: nobody holds the folder's lock."""
    with checkout.start("--no-jars") as process:
        until(process, "virtual environment ...")
        process.send_signal(number)
        said, _ = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "run it again, and it completes" in said
    with (checkout.root / ".mailonce/setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.long
def test_a_failure_is_said_with_its_words(checkout: Checkout) -> None:
    """A package that cannot be had: its name, pip's own words, an error code, and no stamp."""
    for wheel in checkout.wheels.glob("two-*"):
        wheel.unlink()
    code, said = checkout.run("--no-jars")
    assert code == 1
    assert "two==2" in said
    assert stamp.read(checkout.root) is None


@pytest.mark.long  # that hashes are asked for stands in `test_sources_are_built_by_locked_tools_alone`
def test_a_wheel_that_was_changed_is_refused(checkout: Checkout) -> None:
    """Nothing gets into `.venv` but what was locked."""
    wheel = next(checkout.wheels.glob("two-*"))
    wheel.write_bytes(wheel.read_bytes() + b"x")
    code, said = checkout.run("--no-jars")
    assert code == 1
    assert "HASHES" in said


def test_what_is_not_ours_is_not_taken_away(checkout: Checkout) -> None:
    """A folder `.venv` with something else in it, and a link, stay; the user is told."""
    (checkout.root / ".venv").mkdir()
    (checkout.root / ".venv/thesis.txt").touch()
    code, said = checkout.run("--no-jars")
    assert (code, "move it away" in said) == (1, True)
    assert (checkout.root / ".venv/thesis.txt").exists()
    shutil.rmtree(checkout.root / ".venv")
    (checkout.root / ".venv").symlink_to(checkout.home)
    assert checkout.run("--no-jars")[0] == 1
    assert checkout.wheels.exists()


def test_stopped_while_an_old_one_goes(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an environment that is being taken away is still known as one, whichever half is left."""
    old = checkout.root / ".venv"
    for name in ("lib", "bin", "include"):
        (old / name).mkdir(parents=True)
        (old / name / "file").touch()
    (old / "pyvenv.cfg").touch()

    def stopped(path: Path) -> None:
        (path / "file").unlink()
        (old / "pyvenv.cfg").unlink(missing_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", stopped)
    with pytest.raises(KeyboardInterrupt):
        stamp.clear(checkout.root)
    monkeypatch.undo()
    assert stamp.kind_of(checkout.root) == "environment"
    stamp.clear(checkout.root)
    assert [path.name for path in old.iterdir()] == [".mailonce"]


def test_a_cache_that_cannot_be_written_is_said_first(checkout: Checkout) -> None:
    """Before anything is made, with the variable that chooses another folder."""
    (checkout.home / "file").touch()
    code, said = checkout.run(XDG_CACHE_HOME=str(checkout.home / "file"))
    assert code == 1
    assert "XDG_CACHE_HOME names another folder" in said
    assert not (checkout.root / ".venv").exists()


def test_too_little_room_is_said_first(monkeypatch: pytest.MonkeyPatch, checkout: Checkout) -> None:
    """With the figures."""
    monkeypatch.setattr(run, "DISK_MIN_MB", 1 << 40)
    with pytest.raises(run.Refused, match=r"only \d+ MB are free at .*; the virtual environment may need"):
        run.set_up(checkout.root, Stop(), with_jars=False)


def test_sources_are_built_by_locked_tools_alone(checkout: Checkout) -> None:
    """Where Faust has no wheel: its source, without isolation, without a compiler; everywhere else wheels only."""
    shutil.rmtree(checkout.root / ".venv", ignore_errors=True)
    (checkout.root / ".venv/bin").mkdir(parents=True)
    arm = Steps(checkout.root, sys.executable, {}, ("faust-streaming",)).by_pip()
    assert list(arm.command)[list(arm.command).index("--no-binary") + 1] == "faust-streaming"
    assert (arm.environment["CC"], arm.environment["NO_CYTHON"]) == ("/bin/false", "1")
    usual = Steps(checkout.root, sys.executable, {}, ()).by_pip()
    assert "--no-binary" not in usual.command
    assert "CC" not in usual.environment
    assert Steps(checkout.root, sys.executable, {}, ()).tools() == []
    for job in (arm, usual):
        for word in ("--no-deps", "--require-hashes", "--no-build-isolation", ":all:"):
            assert word in job.command
