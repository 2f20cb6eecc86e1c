"""(b) Celery on Redis with a SET NX guard: late acknowledgement, retries with back-off, a key for each mail.

The guard is taken before the call and given back when the call fails, as such guards are usually written.
"""

from __future__ import annotations

import os
from typing import Any

import redis
from celery import Celery

from benchmarks.peers.call import AT_ONCE, send, user_ids

__all__ = ["app", "feed", "work"]

_URL = os.environ.get("MAILONCE_REDIS_URL", "redis://127.0.0.1:6379/0")
_DAY_S = 86_400
app = Celery("peer", broker=_URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_default_queue=os.environ.get("PEER_NAME", "peer"),
    broker_transport_options={"visibility_timeout": 10},
    worker_hijack_root_logger=False,
)
_guards = redis.Redis.from_url(_URL)


@app.task(bind=True, autoretry_for=(Exception,), retry_backoff=True, max_retries=5)  # type: ignore[untyped-decorator]
def mail(_self: Any, user_id: str) -> None:
    """One mail, if nobody has begun it."""
    guard = f"{os.environ['PEER_NAME']}:2026-11:{user_id}"
    if not _guards.set(guard, "1", nx=True, ex=_DAY_S):
        return
    try:
        send(user_id)
    except Exception:
        _guards.delete(guard)
        raise


def feed(users: int) -> None:
    for user_id in user_ids(users):
        mail.delay(user_id)


def work() -> None:
    app.worker_main(["worker", "--pool", "threads", "--concurrency", str(AT_ONCE), "--loglevel", "ERROR"])
