"""Run by Airflow's own Python: imports the DAG as Airflow does, and runs it to its end; prints the tasks' states."""

from __future__ import annotations

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "infra/airflow"
sys.path.insert(0, str(FOLDER))

from airflow.dag_processing.dagbag import DagBag  # type: ignore[import-not-found]  # noqa: E402

bag = DagBag(str(FOLDER))
assert not bag.import_errors, bag.import_errors
dag = bag.dags["mailonce_month"]
run = dag.test()
states = {one.task_id: str(one.state) for one in run.get_task_instances()}
print(json.dumps({"state": str(run.state), "tasks": states}))
