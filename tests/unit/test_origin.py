"""Where our packages come from: a user's own files of the same names are not taken for them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mailonce
from mailonce import signals

NAMES = (
    "schemas.py",
    "producer.py",
    "processor/x.py",
    "infra.py",
    "redis.py",
    "typing.py",
    "typer.py",
    "signal.py",
    "json.py",
    "urllib.py",
)
SCRIPT = str(Path(sys.executable).with_name("mailonce"))
PYTHON = [sys.executable, "-m"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder, with files of their own that do not care for us."""
    for name in NAMES:
        place = tmp_path / name
        place.parent.mkdir(exist_ok=True)
        place.write_text("raise SystemExit('a file of the user was taken for a module')\n")
    return tmp_path


def _run(command: list[str], folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        command, cwd=folder, env=clean | env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize(
    ("command", "env"),
    [
        ([*PYTHON, "mailonce", "settings"], {}),
        ([SCRIPT, "settings"], {}),
        ([sys.executable, "-P", "-m", "mailonce", "settings"], {}),
        ([*PYTHON, "mailonce", "settings"], {"PYTHONSAFEPATH": "1"}),
        ([*PYTHON, "mailonce.health"], {}),
    ],
    ids=["module", "script", "safe", "safe by variable", "health"],
)
def test_files_of_the_users_own_do_no_harm(folder: Path, command: list[str], env: dict[str, str]) -> None:
    """Each way to call mailonce, in a folder full of such files."""
    done = _run(command, folder, **env)
    assert "a file of the user" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == (1 if "mailonce.health" in command else 0), done.stderr


@pytest.mark.parametrize("command", [[*PYTHON, "mailonce"], [SCRIPT]], ids=["module", "script"])
@pytest.mark.parametrize("name", ["schemas.py", "schemas/__init__.py", "processor/other.py"])
def test_a_path_that_hides_our_packages_is_named(tmp_path: Path, command: list[str], name: str) -> None:
    """One sentence: which package, where it was found, what to do."""
    place = tmp_path / "theirs" / name
    place.parent.mkdir(parents=True)
    place.write_text("")
    done = _run([*command, "settings"], tmp_path, PYTHONPATH=str(tmp_path / "theirs"))
    assert done.returncode == 2
    package = name.split("/")[0].removesuffix(".py")
    assert done.stderr.startswith(f"mailonce: the package `{package}` is found in {tmp_path}")
    assert done.stderr.count("\n") == 1
    assert "PYTHONPATH" in done.stderr


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """A shell may stand in a folder that somebody removed."""
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f"cd '{gone}' && rmdir '{gone}' && '{sys.executable}' -m mailonce --help && '{SCRIPT}' stack status"
    done = _run(["sh", "-c", command], tmp_path)
    assert "Usage" in done.stdout
    assert done.stderr == "mailonce: the present folder was removed: go to one that is there\n"
    assert done.returncode == 8


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """One sentence, where a traceback would be a page."""
    done = _run(["sh", "-c", f"'{SCRIPT}' settings >/dev/full"], tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("mailonce: cannot write")
    assert "Traceback" not in done.stderr


def test_a_folder_of_that_name_is_told(tmp_path: Path) -> None:
    """The parent of a checkout holds a folder `mailonce`, which ``python -m`` takes for the package."""
    (tmp_path / "mailonce").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "mailonce", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "taken for the package" in done.stderr


def test_a_package_of_that_name_is_told(tmp_path: Path) -> None:
    """Though it has all that is asked of it."""
    (tmp_path / "mailonce").mkdir()
    (tmp_path / "mailonce/__init__.py").write_text("def main():\n    print('theirs')\n")
    done = _run([*PYTHON, "mailonce", "--help"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "taken for the package" in done.stderr


def test_an_import_that_fails_in_our_own_package_is_shown(tmp_path: Path) -> None:
    """A damaged installation is no folder of the user's: they would look in the wrong place."""
    shutil.copytree(Path(mailonce.__file__).parent, tmp_path / "mailonce")
    (tmp_path / "mailonce/__init__.py").write_text("")
    done = _run([sys.executable, "-S", "-m", "mailonce", "--help"], tmp_path)
    assert "taken for the package" not in done.stderr
    assert "ImportError: cannot import name 'main'" in done.stderr


INTERRUPTS_ITSELF = """\
import os, signal, sys
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause() if signal.getsignal(signal.SIGINT) != signal.SIG_IGN else sys.exit("goes on")
except KeyboardInterrupt:
    pass
"""


@pytest.mark.parametrize("command", [[*PYTHON, "mailonce"], [SCRIPT]], ids=["module", "script"])
@pytest.mark.parametrize("name", ["signal", "typer"])
def test_ctrl_c_while_modules_are_loaded_is_silent(tmp_path: Path, command: list[str], name: str) -> None:
    """With the shell's code for it, whoever is being loaded; typer stands for those that would keep an exception to themselves."""
    spare = "" if name == "typer" else "\nraise KeyboardInterrupt\n"
    (tmp_path / f"{name}.py").write_text(spare or INTERRUPTS_ITSELF)
    done = _run([*command, "settings"], tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_has_the_shells_code(tmp_path: Path) -> None:
    """Also where it meets an ``eval``, as of a type hint: Python then dies by the signal, whoever caught the exception."""
    meets = "import typer\ntyper.Typer.__call__ = lambda _: exec('raise KeyboardInterrupt')\n"
    (tmp_path / "sitecustomize.py").write_text(meets)
    done = _run([*PYTHON, "mailonce", "settings"], tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (130, "mailonce: stopped\n")


def test_ctrl_c_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As a shell starts what runs in its background."""
    (tmp_path / "typer.py").write_text(INTERRUPTS_ITSELF)
    ignored = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    done = _run([sys.executable, "-c", ignored, SCRIPT, "settings"], tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "goes on\n")


def test_process_1_of_a_container_obeys_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel passes over a SIGTERM to it for which there is no handler."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    try:
        signals.first_of_its_container()
        with pytest.raises(SystemExit) as left:
            signal.raise_signal(signal.SIGTERM)
        assert left.value.code == 143
    finally:
        signal.signal(signal.SIGTERM, before)


def test_elsewhere_the_systems_way_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    signals.first_of_its_container()
    assert signal.getsignal(signal.SIGTERM) == before
