"""``mailonce evidence``: SES's own words on what became of its mails."""

from __future__ import annotations

from typing import Annotated

import typer

from mailonce.options import Json, MetricsPort, load, now_ms
from mailonce.shown import print_json, say

__all__ = ["app"]

app = typer.Typer()

_COUNTED = ("events", "resolved", "dropped", "bounced", "complained", "resent", "foreign", "untagged", "bad")


@app.command(epilog="Example: `mailonce evidence --drain`")
def evidence(
    drain: Annotated[bool, typer.Option(help="End when the queue is empty.")] = False,
    cloudtrail: Annotated[
        str | None,
        typer.Option(metavar="FILE_OR_S3_PREFIX", help="Read CloudTrail's logs of SES data events instead of SQS."),
    ] = None,
    metrics_port: MetricsPort = None,
    as_json: Json = False,
) -> None:
    """Read SES's events from SQS: a mail whose answer was lost becomes `sent` when SES's own event proves it.

    What SES accepted and dropped becomes `dead`; permanent bounces and complaints suppress the address.
    """
    from importlib.metadata import version

    from processor.evidence.run import gather, gather_cloudtrail

    settings = load(metrics_port=metrics_port)
    if cloudtrail is not None:
        counts = gather_cloudtrail(settings, version("mailonce"), now_ms, cloudtrail)
    else:
        counts = gather(settings, version("mailonce"), now_ms, drain=drain)
    if as_json:
        return print_json({name: counts[name] for name in _COUNTED})
    return say(
        f"{counts['events']:,} events: {counts['resolved']:,} doubts resolved, {counts['dropped']:,} dropped by SES, "
        f"{counts['bounced']:,} bounced, {counts['complained']:,} complained, {counts['resent']:,} resent by policy; "
        f"{counts['foreign']:,} of others, {counts['untagged']:,} of mail without tags, {counts['bad']:,} unreadable"
    )
