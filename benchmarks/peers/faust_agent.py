"""(d) A Faust agent; boto3 in a thread for each of its concurrent actors."""

from __future__ import annotations

import asyncio
import os

import faust

from benchmarks.peers import plain_kafka
from benchmarks.peers.call import AT_ONCE, send

__all__ = ["feed", "work"]


def feed(users: int) -> None:
    plain_kafka.feed(users)


def work() -> None:
    name = os.environ["PEER_NAME"]
    app = faust.App(
        f"{name}-faust",
        broker=f"kafka://{os.environ['MAILONCE_KAFKA_BOOTSTRAP_SERVERS']}",
        value_serializer="raw",
        topic_disable_leader=True,
        web_enabled=False,
        broker_session_timeout=6,
        broker_heartbeat_interval=2,
        datadir=os.environ["PEER_FOLDER"],
        consumer_auto_offset_reset="earliest",
    )

    @app.agent(app.topic(name, value_type=bytes), concurrency=AT_ONCE)
    async def mail(stream: faust.StreamT[bytes]) -> None:
        async for user_id in stream:
            await asyncio.to_thread(send, user_id.decode())

    faust.Worker(app, loglevel="ERROR").execute_from_commandline()
