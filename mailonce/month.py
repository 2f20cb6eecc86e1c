"""A month's commands: publish it, send it, watch it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mailonce.options import Json, Maps, MetricsPort, Month, MonthArgument, Unmasked, User, load, month_of
from schemas.errors import UsageError

__all__ = ["app"]

app = typer.Typer()

Source = Annotated[str, typer.Option(help="Where the users are: a file or a URI; columns user_id, email and the data.")]
Where = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only such rows (or NAME!=VALUE); repeatable.")
]


@app.command(epilog="Example: `mailonce produce --month 2026-11 --source users.csv --dry-run`")
def produce(
    month: Month,
    source: Source,
    template: Annotated[str, typer.Option(help="Name of the SES template.")] = "monthly-usage",
    on_duplicate: Annotated[
        str, typer.Option(help="A user who stands there twice: `error` rejects all his rows, `last` takes the last.")
    ] = "error",
    rejects: Annotated[Path | None, typer.Option(help="Where rejected rows go (SOURCE-MONTH.rejects.csv).")] = None,
    include_cancelled: Annotated[bool, typer.Option(help="Publish cancelled mails again.")] = False,
    maps: Maps = None,
    where: Where = None,
    limit: Annotated[int | None, typer.Option(min=0, help="So many rows at the most, for a trial run.")] = None,
    sample: Annotated[int, typer.Option(min=0, help="Show so many jobs, publish nothing.")] = 0,
    max_rate: Annotated[float, typer.Option(help="Jobs a second at the most, to spare a shared cluster; 0: all.")] = 0,
    dry_run: Annotated[bool, typer.Option(help="Say what would happen, publish nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Publish a month's jobs. Re-runnable at any time; exit code 3 when rows were rejected.

    A source is a file (CSV, Parquet, JSON; globs; s3://), duckdb:///query.sql, athena://DATABASE?query=FILE.sql&output=s3://…,
    or postgresql:// or mysql:// with ?query=FILE.sql.
    """
    from processor.cli.month import warn_of_a_long_month
    from producer.cli import Shape, open_shaped
    from producer.cli import produce as run
    from producer.cli import sample as show
    from producer.plan import OnDuplicate
    from producer.sources.shaped import parse_conditions, parse_renames

    try:
        duplicate = OnDuplicate(on_duplicate)
    except ValueError:
        raise UsageError(f"--on-duplicate is `error` or `last`, not {on_duplicate!r}") from None
    shape = Shape(parse_renames(maps or []), parse_conditions(where or []), limit)
    if sample:
        show(open_shaped(source, month, shape, Console(stderr=True)), month, template, sample)
        raise typer.Exit
    settings = load()
    code = run(
        settings,
        month=month,
        shape=shape,
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


@app.command(epilog="Example: `mailonce preview u-1042 2026-11 --source users.csv --folder /tmp`")
def preview(
    user: User,
    month: MonthArgument,
    source: Source,
    template: Annotated[str, typer.Option(help="Name of the SES template.")] = "monthly-usage",
    maps: Maps = None,
    folder: Annotated[Path | None, typer.Option(help="Write the mail's HTML and text there.")] = None,
    as_json: Json = False,
) -> None:
    """One user's mail as it would look, rendered as his will be, sent to nobody, published nowhere."""
    from processor.cli.preview import preview as show
    from producer.cli import Shape, job_of, open_shaped
    from producer.sources.shaped import parse_renames

    settings = load()
    shape = Shape(parse_renames(maps or []), [("user_id", True, user)])
    show(
        settings,
        job_of(open_shaped(source, month, shape, Console(stderr=True)), user, month, template),
        folder=folder,
        as_json=as_json,
    )


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
    from processor.cli.month import gather_evidence

    gather_evidence(load(metrics_port=metrics_port), drain=drain, cloudtrail=cloudtrail, as_json=as_json)


@app.command(epilog="Example: `mailonce status --month 2026-11 --watch`")
def status(
    month: Month,
    watch: Annotated[bool, typer.Option(help="Live, until nothing is pending; with --json a line a second.")] = False,
    as_json: Json = False,
) -> None:
    """Where a month stands: jobs and outcomes, what is pending where, rate, quota, expected end."""
    from processor.cli.status import show_status

    show_status(load(), month, as_json=as_json, watch=watch)


@app.command(epilog="Example: `mailonce missing --month 2026-11 --source users.csv --csv > missing.csv`")
def missing(
    month: Month,
    source: Source,
    maps: Maps = None,
    where: Where = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="All of them, as CSV.")] = False,
    as_json: Json = False,
) -> None:
    """Who of a source has no mail, and why: never published, pending, dead, uncertain, suppressed, cancelled, bounced.

    Exit code 1 when there is somebody.
    """
    from processor.cli.status import show_missing
    from producer.cli import Shape, open_shaped
    from producer.sources.shaped import parse_conditions, parse_renames

    shape = Shape(parse_renames(maps or []), parse_conditions(where or []))
    user_ids = open_shaped(source, month, shape, Console(stderr=True)).user_ids()
    raise typer.Exit(show_missing(load(), month, user_ids, as_json=as_json, as_csv=as_csv))


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


@app.command(epilog="Example: `mailonce replay --from-time 2026-11-01T08:00 --month 2026-11 --dry-run`")
def replay(
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Every job there is.")] = False,
    from_time: Annotated[str | None, typer.Option(metavar="T", help="Jobs published since, UTC unless said.")] = None,
    from_offset: Annotated[
        str | None, typer.Option(metavar="P:N,…", help="From these offsets; other partitions are left out.")
    ] = None,
    month: Annotated[str | None, typer.Option("--month", "-m", help="Only this month, YYYY-MM.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would be attempted and skipped, send nothing.")] = False,
    reset_group: Annotated[
        bool, typer.Option(help="Move the live group there instead; refused while processors run.")
    ] = False,
    metrics_port: MetricsPort = None,
    as_json: Json = False,
) -> None:
    """Read jobs again: what is settled is skipped, what is not is attempted. Safe at any time.

    It runs in a group of its own beside the live one and ends when it has caught up.
    """
    from processor.cli.replay import parse_start
    from processor.cli.replay import replay as run

    start = parse_start(from_beginning, from_time, from_offset)
    settings = load(metrics_port=metrics_port)
    chosen = month_of(month) if month else ""
    run(settings, start, month=chosen, dry_run=dry_run, reset_group=reset_group, as_json=as_json)


@app.command(epilog="Example: `MAILONCE_DASHBOARD_TOKEN=… mailonce dashboard --port 8600`")
def dashboard(
    port: Annotated[int | None, typer.Option(help="Port; 8600 unless MAILONCE_DASHBOARD_PORT says otherwise.")] = None,
) -> None:
    """Web pages: a month as it happens, one mail's story, dead letters, doubts. Loopback unless told otherwise.

    It only reads; with a token set, letters and doubts can be decided from the pages as well.
    """
    from processor.dashboard.run import serve

    serve(load(dashboard_port=port))


@app.command(epilog="Example: `mailonce cancel u-1042 2026-11`")
def cancel(user: User, month: MonthArgument) -> None:
    """Cancel one mail that was not sent yet."""
    from processor.cli.month import cancel_mail

    cancel_mail(load(), user, month)
