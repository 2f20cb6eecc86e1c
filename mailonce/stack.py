"""Commands of the embedded stack."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailonce.options import EXIT_FOUND, Json
from mailonce.shown import console, print_json, say
from mailonce.signals import end_in_order
from schemas.runtime.errors import UsageError

if TYPE_CHECKING:
    from infra.embedded import Stack

__all__ = ["app"]

app = typer.Typer(name="stack", no_args_is_help=True, help="Kafka, Valkey, an SES sandbox and SQS on this machine.")

Dir = Annotated[Path, typer.Option("--dir", help="Folder of the stack's data, logs and pids.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="Some of them: kafka,valkey,ses,sqs; also one by one. [default: all]")
]

STACK_DIR = Path(".mailonce/stack")


def _stack(folder: Path, brokers: int | None = None) -> Stack:
    from infra.embedded import Stack

    return Stack(folder, brokers=brokers)


def _names(only: list[str] | None) -> list[str]:
    """The services of every `--only`; all without one."""
    from infra.embedded import SERVICES

    given = ",".join(SERVICES if only is None else only)
    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--only names no service; there are {', '.join(SERVICES)}")
    if unknown := set(names) - set(SERVICES):
        raise UsageError(f"no such service: {', '.join(sorted(unknown))}; there are {', '.join(SERVICES)}")
    return names


@app.command("up", epilog='Example: `mailonce stack up && eval "$(mailonce stack env)"`')
def up(
    folder: Dir = STACK_DIR,
    only: Only = None,
    events: Annotated[
        bool,
        typer.Option(help="Publish SES's events into SQS, for `mailonce evidence`."),
    ] = False,
    brokers: Annotated[
        int | None,
        typer.Option(min=1, max=5, help="Kafka nodes of a new stack; of 3 one may die (replication 3, min.insync 2)."),
    ] = None,
) -> None:
    """Start what does not run; data and ports of an earlier start are kept."""
    told = console(stderr=True)
    stack = _stack(folder, brokers)
    end_in_order(signal.SIGTERM, signal.SIGHUP)
    with told.status("starting") as line:
        stack.up(_names(only), lambda text: line.update(text))
        if events:
            stack.connect_events()
    for name, (running, alive) in stack.status().items():
        if alive and running:
            told.print(f"{name}: 127.0.0.1:{running.port}", highlight=False)
    where = "" if folder == STACK_DIR else f" --dir {folder}"
    told.print(f'point your shell at it: eval "$(mailonce stack env{where})"', highlight=False, markup=False)


@app.command("down")
def down(folder: Dir = STACK_DIR, only: Only = None) -> None:
    """Stop; the data stays."""
    ran = _stack(folder).down(_names(only))
    console(stderr=True).print(f"stopped: {', '.join(ran) or 'nothing ran'}", highlight=False)


@app.command("status")
def status(folder: Dir = STACK_DIR, as_json: Json = False) -> None:
    """What runs, and where. Exit code 1 when something that was started does not run."""
    states = _stack(folder).status()
    shown = {
        name: {
            "running": alive,
            "port": running.port if running else None,
            "pid": running.pid if alive and running else None,
        }
        for name, (running, alive) in states.items()
    }
    if as_json:
        print_json(shown)
    else:
        for name, about in shown.items():
            where = f"127.0.0.1:{about['port']}, pid {about['pid']}" if about["running"] else "not running"
            say(f"{name}: {where}")
    if any(running and not alive for running, alive in states.values()):
        raise typer.Exit(EXIT_FOUND)


@app.command("env")
def env(folder: Dir = STACK_DIR) -> None:
    """Print export lines that point a shell at the stack."""
    import shlex

    for name, value in _stack(folder).env().items():
        print(f"export {name}={shlex.quote(value)}")  # noqa: T201 - the answer


@app.command("fetch", hidden=True)
def fetch() -> None:
    """Download what the stack needs, so that `up` is quick."""
    from infra.embedded.kafka import KAFKA
    from infra.embedded.others import ELASTICMQ

    for program in (KAFKA, ELASTICMQ):
        program.fetch(lambda text: console(stderr=True).print(text, highlight=False))
