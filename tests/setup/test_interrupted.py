"""A set-up that is killed while it removes an environment completes when it is run again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.bootstrap import run, stamp


class Killed(BaseException):
    """Stands for SIGKILL: nothing may be done any more."""


def test_killed_while_an_environment_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is gone first, what is left is no folder of a stranger."""
    environment = tmp_path / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "pyvenv.cfg").touch()
    (tmp_path / ".mailonce").mkdir()

    def half_way(folder: Path, **_: object) -> None:
        if folder.exists():
            (folder / "pyvenv.cfg").unlink()
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", half_way)
        with pytest.raises(Killed):
            run._take_away(tmp_path)
    assert stamp.kind_of(tmp_path) != "foreign"
    run._take_away(tmp_path)
    assert stamp.kind_of(tmp_path) == "none"
    assert list((tmp_path / ".mailonce").iterdir()) == []
