"""``mailonce topics``: the Kafka topics."""

from __future__ import annotations

import typer

from mailonce.options import Json, load
from mailonce.shown import print_json, say

__all__ = ["app"]

app = typer.Typer(name="topics", no_args_is_help=True, help="The Kafka topics.")


@app.command("create")
def create(as_json: Json = False) -> None:
    """Make the topics that are missing; refuse one whose cleanup policy would lose records."""
    from processor.adapters.topics import create_topics

    states = create_topics(load())
    if as_json:
        return print_json([{"topic": s.name, "created": s.created, "partitions": s.partitions} for s in states])
    for state in states:
        what = "created" if state.created else "exists, policy is right"
        say(f"{state.name}: {what}, {state.partitions} partitions")
    return None
