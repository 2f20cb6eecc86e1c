"""A set-up that is killed while it removes an environment completes when it is run again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from infra.bootstrap import stamp


class Killed(BaseException):
    """Stands for SIGKILL: nothing may be done any more."""


@pytest.mark.parametrize("steps", range(6))
def test_killed_while_an_environment_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Whatever is gone first, what is left is no folder of a stranger."""
    environment = tmp_path / ".venv"
    for name in ("bin", "lib"):
        (environment / name).mkdir(parents=True)
    for name in ("pyvenv.cfg", ".installed", "bin/python"):
        (environment / name).touch()
    left = iter(range(steps))

    def until_killed(remove: Any) -> Any:
        def step(path: Path, **options: object) -> None:
            if next(left, None) is None:
                raise Killed
            remove(path, **options)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", until_killed(Path.unlink))
        patch.setattr(shutil, "rmtree", until_killed(shutil.rmtree))
        try:
            stamp.clear(tmp_path)
        except Killed:
            pass
        else:
            assert steps >= 4, "nothing was removed: the test interrupts nothing"
    assert stamp.kind_of(tmp_path) == "environment"
    assert stamp.read(tmp_path) is None or steps == 0
    stamp.clear(tmp_path)
    assert [path.name for path in environment.iterdir()] == [".mailonce"]
