"""The pages' address, taken before anything else is started: what is wrong with it is the user's to hear first."""

from __future__ import annotations

import errno
import socket

from schemas.runtime.errors import UsageError
from schemas.runtime.settings import Settings

__all__ = ["listen"]

_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""A name stands for two families, and this machine has one."""


def listen(settings: Settings) -> list[socket.socket]:
    """A socket for each of the host's addresses, as `localhost` has two. Raises `UsageError` when none can be had."""
    host, port = settings.dashboard_host, settings.dashboard_port
    found: list[socket.socket] = []
    try:
        ways = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for left, (family, _, _, _, address) in enumerate(ways, 1 - len(ways)):
            try:
                found.append(socket.create_server(address[:2], family=family))
            except OSError as error:
                if error.errno not in _NOT_HERE or (left == 0 and not found):
                    raise
    except OSError as error:
        for one in found:
            one.close()
        raise UsageError(
            f"no pages on {host}:{port}: {error.strerror or error}; set MAILONCE_DASHBOARD_HOST and "
            f"MAILONCE_DASHBOARD_PORT to an address of this machine that is free"
        ) from None
    return found
