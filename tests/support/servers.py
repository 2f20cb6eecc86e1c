"""Servers of a stack mistreated: killed and signalled by name."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from infra.embedded import Stack
from infra.embedded.service import is_alive, stop

__all__ = ["kill_server", "server_runs", "signal_server"]


def signal_server(stack: Stack, name: str, number: int) -> None:
    """Nothing happens to one that is gone."""
    running = stack.known()[name]
    if is_alive(running):
        with suppress(ProcessLookupError):
            os.kill(running.pid, number)


def kill_server(stack: Stack, name: str) -> None:
    """SIGKILL; returns when it is gone."""
    signal_server(stack, name, signal.SIGKILL)
    stop(stack.known()[name])


def server_runs(stack: Stack, name: str) -> bool:
    return is_alive(stack.known()[name])
