"""``mailonce dashboard``: the web pages."""

from __future__ import annotations

from typing import Annotated

import typer

from mailonce.options import load

__all__ = ["app"]

app = typer.Typer()


@app.command(epilog="Example: `MAILONCE_DASHBOARD_TOKEN=… mailonce dashboard --port 8600`")
def dashboard(
    port: Annotated[int | None, typer.Option(help="Port; 8600 unless MAILONCE_DASHBOARD_PORT says otherwise.")] = None,
) -> None:
    """Web pages: a month as it happens, one mail's story, dead letters, doubts. Loopback unless told otherwise.

    It only reads; with a token set, letters and doubts can be decided from the pages as well.
    """
    from processor.dashboard.run import serve

    serve(load(dashboard_port=port))
