"""A month's commands: publish it, send it, watch it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mailonce.options import Json, Month, MonthArgument, Unmasked, User, load
from schemas.errors import UsageError

__all__ = ["app"]

app = typer.Typer()


@app.command(epilog="Example: `mailonce produce --month 2026-11 --source users.csv --dry-run`")
def produce(
    month: Month,
    source: Annotated[str, typer.Option(help="A CSV file with the columns user_id, email and the template's data.")],
    template: Annotated[str, typer.Option(help="Name of the SES template.")] = "monthly-usage",
    on_duplicate: Annotated[
        str, typer.Option(help="A user who stands there twice: `error` rejects all his rows, `last` takes the last.")
    ] = "error",
    rejects: Annotated[Path | None, typer.Option(help="Where rejected rows go (SOURCE-MONTH.rejects.csv).")] = None,
    include_cancelled: Annotated[bool, typer.Option(help="Publish cancelled mails again.")] = False,
    max_rate: Annotated[float, typer.Option(help="Jobs a second at the most, to spare a shared cluster; 0: all.")] = 0,
    dry_run: Annotated[bool, typer.Option(help="Say what would happen, publish nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Publish a month's jobs. Re-runnable at any time; exit code 3 when rows were rejected."""
    from processor.cli.month import warn_of_a_long_month
    from producer.cli import produce as run
    from producer.plan import OnDuplicate

    try:
        duplicate = OnDuplicate(on_duplicate)
    except ValueError:
        raise UsageError(f"--on-duplicate is `error` or `last`, not {on_duplicate!r}") from None
    settings = load()
    code = run(
        settings,
        month=month,
        source_uri=source,
        template=template,
        on_duplicate=duplicate,
        rejects_file=rejects,
        include_cancelled=include_cancelled,
        max_rate=max_rate,
        dry_run=dry_run,
        as_json=as_json,
        warn_of=lambda mails: warn_of_a_long_month(settings, mails),
    )
    raise typer.Exit(code)


@app.command(epilog="Example: `mailonce process --drain`")
def process(
    drain: Annotated[bool, typer.Option(help="End with 0 when every job published so far is settled.")] = False,
    instance: Annotated[str | None, typer.Option(help="Name of this processor; must be unique.")] = None,
) -> None:
    """Send what is due: a worker; start as many as you like.

    SIGTERM ends it gracefully. Exit codes: 0 stopped or drained, 4 halted (SES refuses every message), 6 another
    processor has the same name, 7 Kafka or Redis unavailable.
    """
    from processor.wiring import process as run

    run(load(instance=instance), drain=drain)


@app.command(epilog="Example: `mailonce evidence --drain`")
def evidence(
    drain: Annotated[bool, typer.Option(help="End when the queue is empty.")] = False,
    cloudtrail: Annotated[
        str | None,
        typer.Option(metavar="FILE_OR_S3_PREFIX", help="Read CloudTrail's logs of SES data events instead of SQS."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read SES's events from SQS: a mail whose answer was lost becomes `sent` when SES's own event proves it.

    What SES accepted and dropped becomes `dead`; permanent bounces and complaints suppress the address.
    """
    from processor.cli.month import gather_evidence

    gather_evidence(load(), drain=drain, cloudtrail=cloudtrail, as_json=as_json)


@app.command(epilog="Example: `mailonce status --month 2026-11 --json`")
def status(month: Month, as_json: Json = False) -> None:
    """Where a month stands: jobs and outcomes, from the topics."""
    from processor.cli.month import show_status

    show_status(load(), month, as_json=as_json)


@app.command(epilog="Example: `mailonce forecast --month 2026-11` or `--mails 1000000`")
def forecast(
    month: Month,
    mails: Annotated[int | None, typer.Option(min=0, help="So many, instead of the month's pending jobs.")] = None,
    as_json: Json = False,
) -> None:
    """How long a month's mails will take, by the account's rate and daily quota."""
    from processor.cli.month import show_forecast

    show_forecast(load(), month, mails, as_json=as_json)


@app.command(epilog="Example: `mailonce show u-1042 2026-11`")
def show(
    user: User,
    month: MonthArgument,
    as_json: Json = False,
    unmasked: Unmasked = False,
) -> None:
    """Everything known of one mail: job, intents, outcome, dead letters, claim."""
    from processor.cli.month import show_mail

    raise typer.Exit(show_mail(load(), user, month, as_json=as_json, unmasked=unmasked))


@app.command(epilog="Example: `mailonce cancel u-1042 2026-11`")
def cancel(user: User, month: MonthArgument) -> None:
    """Cancel one mail that was not sent yet."""
    from processor.cli.month import cancel_mail

    cancel_mail(load(), user, month)
