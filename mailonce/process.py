"""``mailonce process``: a worker that sends what is due."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from mailonce.options import MetricsPort, load

__all__ = ["app"]

app = typer.Typer()


@app.command(epilog="Example: `mailonce process --drain`")
def process(
    drain: Annotated[bool, typer.Option(help="End with 0 when every job published so far has its outcome.")] = False,
    instance: Annotated[str | None, typer.Option(help="Name of this processor; must be unique.")] = None,
    metrics_port: MetricsPort = None,
    render: Annotated[
        str | None, typer.Option(help="Who fills templates in: `ses`, or `local` from --templates.")
    ] = None,
    templates: Annotated[
        str | None, typer.Option(metavar="DIR", help="With --render local: the templates' folder.")
    ] = None,
) -> None:
    """Send what is due: a worker; start as many as you like.

    SIGTERM ends it gracefully. Exit codes: 0 stopped or drained, 4 halted (SES refuses every message), 6 another
    processor has the same name, 7 Kafka or Redis unavailable, 9 drained, but a job has no outcome.
    """
    from processor.wiring import process as run

    settings = load(instance=instance, metrics_port=metrics_port, render=render, templates_folder=templates)
    if not (drain and sys.stderr.isatty()):
        run(settings, drain=drain)
        return
    with contextlib.ExitStack() as shown:
        run(settings, drain=True, tell=_bar_when_told(shown))


def _bar_when_told(shown: contextlib.ExitStack) -> Callable[[str, int, int | None], None]:
    """A bar that appears with the first word: until then the logs have the terminal to themselves."""
    from mailonce.shown import bars, follow

    tell: list[Callable[[str, int, int | None], None]] = []

    def told(step: str, done: int, total: int | None) -> None:
        if not tell:
            tell.append(follow(shown.enter_context(bars())))
        tell[0](step, done, total)

    return told
