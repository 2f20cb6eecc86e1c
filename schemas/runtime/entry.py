"""What every program of ours does first, whatever machine it is started on.

Loopback never goes through a proxy: the embedded stack, the sandbox, a worker's health and a local registry are asked
by five HTTP clients (urllib, botocore, requests, aiohttp, httpx), each with its own reading of ``NO_PROXY``. The list
made here is one that all of them understand, and it is put into the process's own environment, so that children have
it too. Other hosts go where the user's variables say.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

__all__ = ["enter", "sparing_loopback"]

# httpx wants ``::1`` and refuses ``[::1]``, urllib and botocore want it with brackets: that one is named only where a
# setting has it. Only requests reads a network; the others know of 127.0.0.0/8 the address they are given.
_LOOPBACK = ("localhost", ".localhost", "127.0.0.1", "::1", "127.0.0.0/8")
_ADDRESS = re.compile(r"(?<![\d.])127(?:\.\d{1,3}){3}(?![\d.])|\[::1\]")


def enter() -> None:
    """Spares loopback the proxy, and lets no character end a program whose terminal cannot show it."""
    os.environ.update(sparing_loopback(os.environ))
    for stream in (sys.stdout, sys.stderr):
        # None where a parent closed it; something else under a test.
        if (reconfigure := getattr(stream, "reconfigure", None)) and stream.errors == "strict":
            reconfigure(errors="replace")


def sparing_loopback(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that keep loopback off the proxies of `environ`; none where there is no proxy.

    Without a proxy nothing is set: on macOS any variable of the kind would hide the system's own proxies.
    """
    names = {name.lower() for name, value in environ.items() if value}
    if not any(name.endswith("_proxy") and name != "no_proxy" for name in names):
        return {}
    known = environ.get("no_proxy"), environ.get("NO_PROXY")
    wanted = dict.fromkeys((*_LOOPBACK, *_named(environ)))
    either = next((value for value in known if value is not None), "")
    values = (_joined(either if value is None else value, wanted) for value in known)
    return dict(zip(("no_proxy", "NO_PROXY"), values, strict=True))


def _named(environ: Mapping[str, str]) -> list[str]:
    """Loopback addresses that settings name, in a fixed order."""
    settings = (value for name, value in environ.items() if name.startswith(("MAILONCE_", "AWS_")))
    return sorted({address for value in settings for address in _ADDRESS.findall(value)})


def _joined(value: str, wanted: Mapping[str, object]) -> str:
    given = [entry.strip() for entry in value.split(",") if entry.strip()]
    if "*" in given:
        return value
    return ",".join([*given, *(entry for entry in wanted if entry not in given)])
