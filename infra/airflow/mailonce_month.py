"""A month of mailonce: publish, wait until every mail has its outcome, reconcile, tell. For Airflow's `dags` folder.

On the 1st at six for the month that has just ended. Each task may be repeated at any time. Processors and evidence run
beside Airflow all the time; this only publishes and watches. Airflow's machine needs `mailonce` and its settings in the
environment, and the variable ``mailonce_source``; ``mailonce_notify`` names a program that gets the result on its
standard input.
"""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.exceptions import AirflowException
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Variable, dag, task
from mailonce_settled import MonthSettledSensor

MONTH = "{{ (dag_run.run_after.replace(day=1) - macros.timedelta(days=1)).strftime('%Y-%m') }}"
ENDED = {"retries": 5, "retry_delay": timedelta(minutes=1), "retry_exponential_backoff": True}


@dag(
    schedule="0 6 1 * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=ENDED,
    tags=["mailonce"],
    doc_md=__doc__,
)
def mailonce_month() -> None:
    # 3: rows were rejected; the rest is published, and repeating would not help. The log names the rejects file.
    # 10: the guard wants somebody to look; the task fails, and its log says at what.
    produce = BashOperator(
        task_id="produce",
        bash_command=f'mailonce produce --month {MONTH} --any-month --source "$SOURCE" --json || [ $? -eq 3 ]',
        env={"SOURCE": "{{ var.value.mailonce_source }}"},
        append_env=True,
    )
    settled = MonthSettledSensor(task_id="settled", month=MONTH, timeout=timedelta(days=3).total_seconds())
    # 1: somebody has no mail. The task fails and Airflow tells; the list stands in its log.
    reconcile = BashOperator(
        task_id="reconcile",
        bash_command=f'mailonce missing --month {MONTH} --source "$SOURCE" --json',
        env={"SOURCE": "{{ var.value.mailonce_source }}"},
        append_env=True,
        retries=0,
    )

    @task(trigger_rule="all_done")
    def notify(month: str, counts: dict[str, Any] | None = None) -> None:
        program = Variable.get("mailonce_notify", default=None)
        text = f"mailonce {month}: " + (json.dumps(counts) if counts else "not settled in time")
        print(text)  # noqa: T201 - the task's log
        if program and subprocess.run([program], input=text, text=True, check=False).returncode:
            raise AirflowException(f"{program} failed")

    produce >> settled >> reconcile >> notify(MONTH, settled.output)


mailonce_month()
