"""``mailonce show``: everything known of one mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mailonce.options import EXIT_FOUND, Json, MonthArgument, Unmasked, User, key_of, load, on_dedup
from mailonce.shown import print_json, say, to_json

if TYPE_CHECKING:
    from processor.ops.status import Story
    from schemas.identity import Key
    from schemas.runtime.settings import Settings

__all__ = ["app", "story_of"]

app = typer.Typer()


@app.command(epilog="Example: `mailonce show u-1042 2026-11`")
def show(
    user: User,
    month: MonthArgument,
    as_json: Json = False,
    unmasked: Unmasked = False,
) -> None:
    """Everything known of one mail: job, intents, outcome, dead letters, claim."""
    from schemas.addresses import mask

    settings = load()
    story = story_of(settings, key_of(user, month))
    if not unmasked:
        for job in story.jobs:
            if "email" in job:
                job["email"] = mask(job["email"])
    if as_json:
        print_json(story.to_dict())
    else:
        _show(story)
    if story.outcome == "unknown":
        raise typer.Exit(EXIT_FOUND)


def story_of(settings: Settings, key: Key) -> Story:
    """Raises `BrokerUnavailable` and `RedisUnavailable`."""
    from processor.ops.status import tell_story

    return on_dedup(settings, lambda dedup: tell_story(settings, dedup, key), looks=True)


def _show(story: Story) -> None:
    arrival = story.mail.arrival if story.mail else None
    say(f"[bold]{story.key}[/]: {story.outcome}{f', {arrival.value}' if arrival else ''}")
    sections = (
        ("job", story.jobs),
        ("intent", story.intents),
        ("outcome", story.outcomes),
        ("dead letter", story.dead_letters),
        ("event", story.events),
        ("dedup set", [story.claim] if story.claim else []),
    )
    for name, entries in sections:
        for entry in entries:
            say(f"[dim]{name}[/]", to_json(entry), soft_wrap=True)
