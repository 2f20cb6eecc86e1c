"""Where mailonce can be set up, and what is said elsewhere: decisions without a machine of that kind."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infra.bootstrap.platforms import Facts, facts, refusal, source_only
from infra.bootstrap.wheels import BEGIN, END, PLATFORMS, lacking, measure, pythons, table, with_table
from tests.setup.test_locks import PROJECT

ROOT = Path(__file__).parents[2]
LINUX = Facts("Linux", "x86_64", "glibc 2.36", "CPython", (3, 13), 64, False, True, "/usr/bin/python3")
MAC = replace(LINUX, system="Darwin", machine="arm64", libc="")


@pytest.mark.parametrize(
    "here",
    [
        *(replace(LINUX, version=(3, minor)) for minor in (11, 12, 13, 14)),
        replace(LINUX, machine="aarch64", libc="glibc 2.28"),
        MAC,
    ],
)
def test_places_that_can(here: Facts) -> None:
    """Every row of the README's table that says yes, and each Python of it."""
    assert refusal(here) is None


@pytest.mark.parametrize(
    ("here", "reason", "way"),
    [
        (replace(LINUX, libc=""), "musl", "docker run"),
        (replace(LINUX, libc="glibc 2.27"), "this is glibc 2.27", "docker run"),
        (replace(LINUX, libc="glibc 2.3"), "this is glibc 2.3", "docker run"),
        (replace(LINUX, machine="riscv64"), "riscv64", "docker run"),
        (replace(LINUX, system="Windows", machine="amd64", libc=""), "this is Windows", "docker run"),
        (replace(LINUX, system="", machine="", libc=""), "Linux or macOS", "docker run"),
        (replace(MAC, machine="x86_64"), "is for x86_64", "docker run"),
        (replace(LINUX, version=(3, 10)), "is 3.10", "PYTHON="),
        (replace(LINUX, version=(3, 15)), "does not know Python 3.15", "PYTHON="),
        (replace(LINUX, implementation="PyPy"), "PyPy", "PYTHON="),
        (replace(LINUX, bits=32), "32-bit", "PYTHON="),
        (replace(LINUX, free_threaded=True), "free-threaded", "PYTHON="),
        (replace(LINUX, has_venv=False), "venv", "apt-get install python3.13-venv"),
    ],
)
def test_places_that_cannot(here: Facts, reason: str, way: str) -> None:
    """Each is told why, and what to do instead."""
    said = refusal(here) or ""
    assert reason in said
    assert way in said


def test_this_machine_is_known() -> None:
    """The tests run, so this is a place that can: what is read of it says so."""
    assert refusal(facts()) is None


def test_the_table_and_the_refusals_agree() -> None:
    """A row of the README's table says yes where the set-up goes on, and no where it does not."""
    for platform in PLATFORMS:
        libc = (
            f"glibc {platform.uv.rpartition('manylinux_')[2].replace('_', '.')}" if "manylinux" in platform.uv else ""
        )
        here = replace(LINUX, system=platform.system, machine=platform.machine, libc=libc)
        assert (refusal(here) is None) == platform.supported, platform.title
        row = next(
            line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| {platform.title} |")
        )
        cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
        assert len(cells) == len(pythons())
        assert all(cell.startswith("yes" if platform.supported else "by container") for cell in cells), row


def test_nothing_is_built_but_what_is_said() -> None:
    """A source that nobody expects is no wheel: only Faust, only on Linux arm64."""
    assert source_only("Linux", "aarch64") == ("faust-streaming",)
    assert source_only("Linux", "x86_64") == source_only("Darwin", "arm64") == ()


LOCK = "a==1 \\\n    --hash=sha256:0\nb==2 ; x \\\n    --hash=sha256:1\n    # via a\n"


def answer(text: str, _platform: str, _python: str) -> str:
    """As uv writes it."""
    return "cause: Because b==2 has no usable wheels and you require b==2, we …" if "b==2" in text else ""


def test_a_package_without_a_wheel_is_named() -> None:
    """The table is what uv says: one package after another, until the rest has wheels."""
    assert lacking(LOCK, "aarch64-manylinux_2_28", "3.13", answer) == ["b"]
    with pytest.raises(SystemExit, match="no network"):
        lacking(LOCK, "aarch64-manylinux_2_28", "3.13", lambda *_: "no network")


def test_a_new_gap_shows_in_the_table() -> None:
    """A lock with a package that lost its wheels makes another table."""
    rows = table(measure(LOCK, answer))
    assert "| macOS arm64 | by container (no wheel of b) |" in rows
    assert "| macOS arm64 | yes | yes | yes | yes |" in table(measure(LOCK, lambda *_: ""))
    readme = with_table(f"before\n{BEGIN}\nold\n{END}\nafter\n", rows)
    assert readme == f"before\n{BEGIN}\n{rows}\n{END}\nafter\n"
    with pytest.raises(ValueError, match="lacks"):
        with_table("no marks", rows)


def test_the_gate_is_read_by_old_pythons() -> None:
    """Python 2.7 and 3.6 must be able to read the first file, or nobody is told anything."""
    text = (ROOT / "infra/bootstrap/__main__.py").read_text()
    compile(text, "gate", "exec")
    for modern in ("from __future__", "->", ":=", 'f"', "f'", "print(", "match ", "nonlocal"):
        assert modern not in text.replace("# type: () -> int", ""), modern


def test_an_old_python_is_told_so() -> None:
    """In one sentence, with what to type, and nothing is made."""
    script = (
        "import sys, runpy; sys.version_info = (3, 6, 15); sys.argv = ['infra/bootstrap']; "
        "runpy.run_path('infra/bootstrap/__main__.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "mailonce needs Python 3.11 to 3.14, and this is 3.6.15" in done.stderr
    assert "make setup PYTHON=" in done.stderr


def test_the_bounds_are_the_projects() -> None:
    """One oldest Python, in the gate, in the table and in the package's metadata."""
    assert PROJECT["requires-python"] == f">={pythons()[0]}"
    assert "OLDEST = (3, 11)" in (ROOT / "infra/bootstrap/__main__.py").read_text()
