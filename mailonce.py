"""The command line: ``mailonce`` and ``python -m mailonce``.

Each command imports what it needs when it runs, so that ``--help`` and small commands start at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.errors import Interrupted, MailonceError, UsageError
from schemas.identity import check_month

if TYPE_CHECKING:
    from infra.embedded import Stack
    from schemas.settings import Settings

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Each user's monthly e-mail, sent exactly once.",
)
topics_app = typer.Typer(no_args_is_help=True, help="The Kafka topics.")
templates_app = typer.Typer(no_args_is_help=True, help="E-mail templates in SES.")
dead_letters_app = typer.Typer(no_args_is_help=True, help="Records that could not become e-mails.")
dedup_app = typer.Typer(no_args_is_help=True, help="What Redis knows of every mail.")
suppressions_app = typer.Typer(no_args_is_help=True, help="Addresses that get no more mail.")
uncertain_app = typer.Typer(no_args_is_help=True, help="Mails whose fate nobody knows.")
stack_app = typer.Typer(no_args_is_help=True, help="Kafka, Valkey, an SES sandbox and SQS on this machine.")
app.add_typer(topics_app, name="topics")
app.add_typer(templates_app, name="templates")
app.add_typer(dead_letters_app, name="dead-letters")
app.add_typer(uncertain_app, name="uncertain")
app.add_typer(suppressions_app, name="suppressions")
app.add_typer(dedup_app, name="dedup")
app.add_typer(stack_app, name="stack")


def _month(text: str) -> str:
    try:
        return check_month(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Month = Annotated[str, typer.Option("--month", "-m", callback=_month, help="The month, YYYY-MM.")]
MonthArgument = Annotated[str, typer.Argument(metavar="MONTH", callback=_month, help="The month, YYYY-MM.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Dir = Annotated[Path, typer.Option("--dir", help="Folder of the stack's data, logs and pids.")]
Only = Annotated[str, typer.Option("--only", help="Some of them: kafka,valkey,ses,sqs.")]

STACK_DIR = Path(".mailonce/stack")
ALL = "kafka,valkey,ses,sqs"


def _settings(**overrides: Any) -> Settings:
    from schemas.logs import configure_logs
    from schemas.settings import load_settings

    settings = load_settings(**overrides)
    configure_logs(settings.log_format, settings.log_level)
    return settings


# ---- the month ----


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
    from processor.cli import warn_of_a_long_month
    from producer.cli import produce as run
    from producer.plan import OnDuplicate

    try:
        duplicate = OnDuplicate(on_duplicate)
    except ValueError:
        raise UsageError(f"--on-duplicate is `error` or `last`, not {on_duplicate!r}") from None
    settings = _settings()
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

    run(_settings(instance=instance), drain=drain)


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
    from processor.cli import gather_evidence

    gather_evidence(_settings(), drain=drain, cloudtrail=cloudtrail, as_json=as_json)


@app.command(epilog="Example: `mailonce status --month 2026-11 --json`")
def status(month: Month, as_json: Json = False) -> None:
    """Where a month stands: jobs and outcomes, from the topics."""
    from processor.cli import show_status

    show_status(_settings(), month, as_json=as_json)


@app.command(epilog="Example: `mailonce forecast --month 2026-11` or `--mails 1000000`")
def forecast(
    month: Month,
    mails: Annotated[int | None, typer.Option(min=0, help="So many, instead of the month's pending jobs.")] = None,
    as_json: Json = False,
) -> None:
    """How long a month's mails will take, by the account's rate and daily quota."""
    from processor.cli import show_forecast

    show_forecast(_settings(), month, mails, as_json=as_json)


@app.command(epilog="Example: `mailonce show u-1042 2026-11`")
def show(
    user: Annotated[str, typer.Argument(help="The user id.")],
    month: MonthArgument,
    as_json: Json = False,
    unmasked: Annotated[bool, typer.Option(help="Show the whole address.")] = False,
) -> None:
    """Everything known of one mail: job, intents, outcome, dead letters, claim."""
    from processor.cli import show_mail

    raise typer.Exit(show_mail(_settings(), user, month, as_json=as_json, unmasked=unmasked))


@app.command(epilog="Example: `mailonce cancel u-1042 2026-11`")
def cancel(user: Annotated[str, typer.Argument(help="The user id.")], month: MonthArgument) -> None:
    """Cancel one mail that was not sent yet."""
    from processor.cli import cancel_mail

    cancel_mail(_settings(), user, month)


@app.command()
def settings(as_json: Json = False) -> None:
    """Every setting: value now, default, unit and meaning. Secrets are hidden."""
    import json

    from rich.console import Console
    from rich.table import Table

    from schemas.settings import describe_settings

    rows = list(describe_settings(_settings()))
    if as_json:
        names = ("name", "value", "default", "meaning")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))  # noqa: T201 - the answer
        return
    table = Table("variable", "now", "default", "meaning")
    for name, now, default, meaning in rows:
        table.add_row(name, now if now == default else f"[bold]{now}", default, meaning)
    Console().print(table)


@uncertain_app.command("list", epilog="Example: `mailonce uncertain list --month 2026-11`")
def uncertain_list(
    month: Annotated[str | None, typer.Option(help="Only this month.")] = None, as_json: Json = False
) -> None:
    """Mails of which nobody knows whether SES took them: held, never sent again by themselves."""
    from processor.cli import list_uncertain

    list_uncertain(_settings(), month=_month(month) if month else None, as_json=as_json)


Why = Annotated[str, typer.Option(help="Why: kept with the record.")]
Who = Annotated[str | None, typer.Option(help="Who decides; your login name unless given.")]


def _who(given: str | None) -> str:
    import getpass

    return given or getpass.getuser()


@uncertain_app.command("resolve", epilog='Example: `mailonce uncertain resolve u-1042 2026-11 --as sent --why "seen"`')
def uncertain_resolve(
    why: Why,
    resolution: Annotated[str, typer.Option("--as", metavar="sent|resend|dead", help="What you know, or want.")],
    user: Annotated[str | None, typer.Argument(help="The user id.")] = None,
    month_of_user: Annotated[str | None, typer.Argument(metavar="MONTH", help="The month, YYYY-MM.")] = None,
    month: Annotated[str | None, typer.Option(help="Instead of one user: every uncertain mail of this month.")] = None,
    who: Who = None,
    dry_run: Annotated[bool, typer.Option(help="Say how many, change nothing.")] = False,
) -> None:
    """Decide a mail in doubt: `sent` and `dead` record what you know; `resend` calls SES again, once.

    A resend is the one way to send twice: do it when you are sure that SES did not take the first call.
    """
    from processor.cli import resolve_uncertain
    from processor.ops.uncertain import Resolution

    try:
        chosen = Resolution(resolution)
    except ValueError:
        raise UsageError(f"--as is sent, resend or dead, not {resolution!r}") from None
    if (month is None) == (user is None) or (user is None) != (month_of_user is None):
        raise UsageError("name a user and a month, or all of a month with --month")
    resolve_uncertain(
        _settings(), user, _month(month or str(month_of_user)), chosen, who=_who(who), why=why, dry_run=dry_run
    )


@suppressions_app.command("list", epilog="Example: `mailonce suppressions list --json`")
def suppressions_list(
    as_json: Json = False, unmasked: Annotated[bool, typer.Option(help="Show whole addresses.")] = False
) -> None:
    """Addresses that bounced for good, complained, or were added by hand."""
    from processor.cli import show_suppressions

    show_suppressions(_settings(), as_json=as_json, unmasked=unmasked)


@suppressions_app.command("add", epilog='Example: `mailonce suppressions add a@example.com --why "asked by phone"`')
def suppressions_add(address: Annotated[str, typer.Argument()], why: Why, who: Who = None) -> None:
    """Send an address no more mail."""
    from processor.cli import add_suppression

    add_suppression(_settings(), address, who=_who(who), why=why)


@suppressions_app.command("remove", epilog="Example: `mailonce suppressions remove a@example.com`")
def suppressions_remove(address: Annotated[str, typer.Argument()]) -> None:
    """Let an address get mail again."""
    from processor.cli import drop_suppression

    drop_suppression(_settings(), address)


# ---- topics, templates, dead letters ----


@topics_app.command("create")
def topics_create(as_json: Json = False) -> None:
    """Make the topics that are missing; refuse one whose cleanup policy would lose records."""
    from processor.cli import create_all_topics

    create_all_topics(_settings(), as_json=as_json)


@templates_app.command("push", epilog="Example: `mailonce templates push templates/`")
def templates_push(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="One sub-folder a template: subject.txt, body.html, body.txt.")
    ],
    dry_run: Annotated[bool, typer.Option(help="Say what would happen, push nothing.")] = False,
) -> None:
    """Put templates into SES; only what differs is written."""
    from processor.cli import push_all_templates

    _settings()
    push_all_templates(folder, dry_run=dry_run)


@dead_letters_app.command("list", epilog="Example: `mailonce dead-letters list --month 2026-11 --reason missing-data`")
def dead_letters_list(
    month: Annotated[str | None, typer.Option(help="Only this month.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason.")] = None,
    count: Annotated[int, typer.Option(help="How many at the most.")] = 100,
    as_json: Json = False,
) -> None:
    """Dead letters with their reasons."""
    from processor.cli import list_dead_letters

    list_dead_letters(_settings(), month=_month(month) if month else None, reason=reason, as_json=as_json, count=count)


@dead_letters_app.command("show", epilog="Example: `mailonce dead-letters show 3:17`")
def dead_letters_show(
    place: Annotated[str, typer.Argument(metavar="P:N", help="Partition and offset in the dead-letter topic.")],
    as_json: Json = False,
) -> None:
    """One dead letter: why, and the record's original bytes and headers."""
    from processor.cli import show_dead_letter

    show_dead_letter(_settings(), place, as_json=as_json)


@dedup_app.command("rebuild")
def dedup_rebuild(as_json: Json = False) -> None:
    """Rebuild the dedup set from ledger and intents; nobody sends until it is done."""
    from processor.cli import rebuild_dedup

    rebuild_dedup(_settings(), as_json=as_json)


@dedup_app.command("verify", epilog="Example: `mailonce dedup verify --json`")
def dedup_verify(as_json: Json = False) -> None:
    """Hold the dedup set against the ledger, key by key; exit code 1 when it could let a second mail out."""
    from processor.cli import verify_dedup

    raise typer.Exit(verify_dedup(_settings(), as_json=as_json))


# ---- the embedded stack ----


def _stack(folder: Path, brokers: int | None = None) -> Stack:
    from infra.embedded import Stack

    return Stack(folder, brokers=brokers)


def _names(only: str) -> list[str]:
    from infra.embedded import SERVICES

    names = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := set(names) - set(SERVICES):
        raise UsageError(f"no such service: {', '.join(sorted(unknown))}; there are {', '.join(SERVICES)}")
    return names


@stack_app.command("up", epilog='Example: `mailonce stack up && eval "$(mailonce stack env)"`')
def stack_up(
    folder: Dir = STACK_DIR,
    only: Only = ALL,
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
    from rich.console import Console

    console = Console(stderr=True)
    stack = _stack(folder, brokers)
    with console.status("starting") as line:
        stack.up(_names(only), lambda text: line.update(text))
        if events:
            stack.connect_events()
    for name, (running, alive) in stack.status().items():
        if alive and running:
            console.print(f"{name}: 127.0.0.1:{running.port}", highlight=False)
    where = "" if folder == STACK_DIR else f" --dir {folder}"
    console.print(f'point your shell at it: eval "$(mailonce stack env{where})"', highlight=False, markup=False)


@stack_app.command("down")
def stack_down(folder: Dir = STACK_DIR, only: Only = ALL) -> None:
    """Stop; the data stays."""
    from rich.console import Console

    ran = _stack(folder).down(_names(only))
    Console(stderr=True).print(f"stopped: {', '.join(ran) or 'nothing ran'}", highlight=False)


@stack_app.command("status")
def stack_status(folder: Dir = STACK_DIR, as_json: Json = False) -> None:
    """What runs, and where. Exit code 1 when something that was started does not run."""
    import json

    from rich.console import Console

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
        print(json.dumps(shown))  # noqa: T201 - the answer
    else:
        for name, about in shown.items():
            where = f"127.0.0.1:{about['port']}, pid {about['pid']}" if about["running"] else "not running"
            Console().print(f"{name}: {where}", highlight=False)
    if any(running and not alive for running, alive in states.values()):
        raise typer.Exit(1)


@stack_app.command("env")
def stack_env(folder: Dir = STACK_DIR) -> None:
    """Print export lines that point a shell at the stack."""
    import shlex

    for name, value in _stack(folder).env().items():
        print(f"export {name}={shlex.quote(value)}")  # noqa: T201 - the answer


@stack_app.command("fetch", hidden=True)
def stack_fetch() -> None:
    """Download what the stack needs, so that `up` is quick."""
    from rich.console import Console

    from infra.embedded.kafka import KAFKA
    from infra.embedded.others import ELASTICMQ

    for program in (KAFKA, ELASTICMQ):
        program.fetch(lambda text: Console(stderr=True).print(text, highlight=False))


def main() -> None:
    """Runs a command; a known error becomes one clear message and its exit code."""
    try:
        app()
    except KeyboardInterrupt:
        _fail(Interrupted("stopped"))
    except MailonceError as error:
        _fail(error)


def _fail(error: MailonceError) -> None:
    print(f"mailonce: {error}", file=sys.stderr)  # noqa: T201 - the message
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
