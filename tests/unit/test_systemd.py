"""The systemd units: each command is one, the month is the one that has just ended, and stopping waits for calls."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer.main

from mailonce import app
from schemas.runtime.settings import Settings

FOLDER = Path(__file__).parents[2] / "infra/systemd"
BINARY = "/opt/mailonce/bin/mailonce"
SERVICES = sorted(FOLDER.glob("*.service"))
TIMERS = sorted(FOLDER.glob("*.timer"))


def values(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def command_of(unit: Path) -> str:
    """What systemd would run: its own doubled characters undone."""
    (line,) = values(unit, "ExecStart")
    return line.replace("$$", "$").replace("%%", "%").replace("%H", "host").replace("%i", "1")


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_each_command_is_one(unit: Path) -> None:
    """Sub-command and options as the command line knows them."""
    found = re.search(rf"{BINARY} (.*?)'?$", command_of(unit))
    assert found is not None
    name, *args = shlex.split(re.sub(r'"\$\([^"]*"[^"]*"[^"]*\)"|"\$\([^"]*\)"', "2026-11", found[1]))
    command = typer.main.get_command(app).get_command(None, name)  # type: ignore[attr-defined,arg-type]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {arg for arg in args if arg.startswith("--")} <= known


@pytest.mark.parametrize(
    ("unit", "day"), [("mailonce-produce.service", 1), ("mailonce-missing.service", 1), ("mailonce-missing.service", 5)]
)
def test_the_month_is_the_one_that_has_just_ended(unit: str, day: int, tmp_path: Path) -> None:
    """The shell's words, run with a clock that stands on the day of the timer."""
    clock = tmp_path / "date"
    today = datetime.now(UTC).replace(day=day)
    real = shutil.which("date")
    # `date` as it would be on that day: relative words and formats are the real one's.
    clock.write_text(f'#!/bin/sh\ncase "$*" in *-d*yesterday*) exec {real} -u -d "{today:%Y-%m-%d} -1 day" +%Y-%m;; esac\n'
                     f'case "$*" in *-d*) exec {real} "$@";; esac\nexec {real} -u -d {today:%Y-%m-%d} "$2"\n')  # fmt: skip
    clock.chmod(0o755)
    line = shlex.split(command_of(FOLDER / unit))
    assert line[:2] == ["/bin/sh", "-c"]
    done = subprocess.run(
        [*line[:2], line[2].replace(f"exec {BINARY}", "echo")],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "MAILONCE_SOURCE": "s3://b/k and more"},
        capture_output=True,
        text=True,
        check=True,
    )
    ended = today.replace(day=1) - timedelta(days=1)
    assert done.stdout.split(maxsplit=4)[1:4] == ["--month", f"{ended:%Y-%m}", "--source"]
    assert "s3://b/k and more" in done.stdout


def test_timers_start_what_is_there() -> None:
    """And make up for a machine that was off."""
    assert len(TIMERS) == 2
    for timer in TIMERS:
        assert (FOLDER / values(timer, "Unit")[0]).is_file()
        assert values(timer, "Persistent") == ["true"]
        assert values(timer, "OnCalendar")[0].endswith("UTC")


def test_stopping_waits_for_calls() -> None:
    """G1, G4: a processor that is killed in a call leaves doubt; one whose end is final is not started again."""
    (wait_s,) = values(FOLDER / "mailonce-processor@.service", "TimeoutStopSec")
    assert float(wait_s) > Settings.model_fields["ses_read_timeout_s"].default
    (final,) = values(FOLDER / "mailonce-processor@.service", "RestartPreventExitStatus")
    assert {"4", "6"} <= set(final.split())


def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    """By systemd's own check, where it is installed."""
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in (*SERVICES, *TIMERS):
        (tmp_path / unit.name).write_text(unit.read_text().replace(BINARY, "/bin/true"))
    done = subprocess.run(
        [analyze, "verify", *(str(path) for path in sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "mailonce" in line]
    assert ours == []
