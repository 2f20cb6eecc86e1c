"""The Airflow DAG in a real Airflow: imported, and a month run to its end. `make airflow` installs one and runs this."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import World

ROOT = Path(__file__).parents[2]
AIRFLOW = ROOT / ".mailonce/airflow/bin"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not AIRFLOW.is_dir(), reason="no Airflow here: `make airflow` installs one"),
]
JUST_ENDED = datetime.now(UTC).replace(day=1) - timedelta(days=1)


@pytest.fixture
def airflow(world: World) -> dict[str, str]:
    """Its environment, its database made; `mailonce` is this one."""
    source = world.folder / "users.csv"
    told = world.folder / "told"
    told.write_text(f"#!/bin/sh\ncat > {world.folder}/told.txt\n")
    told.chmod(0o755)
    env = world.env | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(world.folder),
        "AIRFLOW_HOME": str(world.folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "infra/airflow"),
        "AIRFLOW_VAR_MAILONCE_SOURCE": str(source),
        "AIRFLOW_VAR_MAILONCE_NOTIFY": str(told),
        "PYTHONPATH": str(ROOT / "infra/airflow"),
    }
    subprocess.run([AIRFLOW / "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
    return env


def run(env: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [AIRFLOW / "python", ROOT / "tests/support/airflow_run.py"],
        env=env,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def test_a_month_in_airflow(world: World, airflow: dict[str, str]) -> None:
    """G1, G2: published, waited for, reconciled, told; again, and nobody gets a second mail."""
    rows = "".join(f"u{n},u{n}@mail.example.net,N,5\n" for n in range(30))
    (world.folder / "users.csv").write_text(f"user_id,email,name,usage\n{rows}bad,no address,N,5\n")
    processor = world.processor("one")
    try:
        assert run(airflow)["tasks"] == {
            "produce": "success",
            "settled": "success",
            "reconcile": "failed",
            "notify": "success",
        }
        told = (world.folder / "told.txt").read_text()
        assert told.startswith(f"mailonce {JUST_ENDED:%Y-%m}: ")
        assert json.loads(told.partition(": ")[2])["sent"] == 30
        (world.folder / "users.csv").write_text(f"user_id,email,name,usage\n{rows}")
        again = run(airflow)
        assert again["state"] == "success"
        assert set(again["tasks"].values()) == {"success"}
    finally:
        assert processor.terminate() == 0
    assert world.sandbox.accepted_count() == 30
    assert {key.month for key in world.sandbox.by_key()} == {f"{JUST_ENDED:%Y-%m}"}
