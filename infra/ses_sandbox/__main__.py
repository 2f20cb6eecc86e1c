"""``python -m infra.ses_sandbox``: the sandbox as a server on loopback."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path

import msgspec

from infra.ses_sandbox import __doc__ as about
from infra.ses_sandbox.server import Sandbox
from schemas.runtime.ending import obey, run, stop_on_signals
from schemas.runtime.entry import enter
from schemas.runtime.errors import Overdue

STOP_S = 8.0
"""A stop may take so long: whoever runs the stack waits for ten seconds."""


def main() -> None:
    enter()
    parser = argparse.ArgumentParser(prog="python -m infra.ses_sandbox", description=about)
    parser.add_argument("--host", default="127.0.0.1", help="address (127.0.0.1): it asks for no password")
    parser.add_argument("--port", type=int, default=8579, help="port (8579)")
    parser.add_argument("--dir", type=Path, required=True, help="folder of the record and the account")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=JSON", help="a setting, e.g. max_send_rate=14"
    )
    options = parser.parse_args()
    overrides = {name: _value(text) for name, _, text in (entry.partition("=") for entry in options.set)}
    run(_run(Sandbox(options.dir, overrides), options.host, options.port), fast=True)


def _value(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


async def _run(sandbox: Sandbox, host: str, port: int) -> None:
    stopping = asyncio.Event()
    stop_on_signals(stopping.set)
    serving = asyncio.create_task(sandbox.serve(port, host))

    async def served() -> None:
        # Once it is cancelled it lets the calls in flight end.
        await asyncio.wait({serving})
        if not serving.cancelled():
            serving.result()

    with contextlib.suppress(Overdue):
        await obey(served(), stopping, STOP_S, ask=serving.cancel)


main()
