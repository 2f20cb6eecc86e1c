"""``mailonce process``: a worker that sends what is due."""

from __future__ import annotations

from typing import Annotated

import typer

from mailonce.options import MetricsPort, load

__all__ = ["app"]

app = typer.Typer()


@app.command(epilog="Example: `mailonce process --drain`")
def process(
    drain: Annotated[bool, typer.Option(help="End with 0 when every job published so far is settled.")] = False,
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
    processor has the same name, 7 Kafka or Redis unavailable.
    """
    from processor.wiring import process as run

    settings = load(instance=instance, metrics_port=metrics_port, render=render, templates_folder=templates)
    run(settings, drain=drain)
