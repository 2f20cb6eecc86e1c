"""(e) DBOS on SQLite: a queue, and one workflow for each mail, its id the user and the month."""

from __future__ import annotations

import logging
import os
import time

from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions

from benchmarks.peers.call import AT_ONCE, send, user_ids

__all__ = ["feed", "work"]

_QUEUE = "mails"


def _url() -> str:
    return f"sqlite:///{os.environ['PEER_FOLDER']}/{os.environ['PEER_NAME']}.sqlite"


@DBOS.step(retries_allowed=True)
def call(user_id: str) -> None:
    """The call, recorded when it has returned."""
    send(user_id)


@DBOS.workflow()
def mail(user_id: str) -> None:
    """One mail."""
    call(user_id)


def _launch() -> None:
    config: DBOSConfig = {
        "name": "peer",
        "system_database_url": _url(),
        "log_level": "ERROR",
        "run_admin_server": False,
    }
    DBOS(config=config)
    DBOS.launch()


def feed(users: int) -> None:
    _launch()
    DBOS.register_queue(_QUEUE, worker_concurrency=AT_ONCE, polling_interval_sec=0.1)
    DBOS.destroy()
    client = DBOSClient(system_database_url=_url())
    for user_id in user_ids(users):
        options: EnqueueOptions = {
            "workflow_name": "mail",
            "queue_name": _QUEUE,
            "workflow_id": f"{user_id}:2026-11",
        }
        client.enqueue(options, user_id)
    client.destroy()


def work() -> None:
    logging.getLogger("dbos").setLevel(logging.ERROR)
    _launch()
    while True:
        time.sleep(1)
