"""Runs the story and ends with a table; exit code 0 only if SES accepted no duplicate and every job has an outcome."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from infra.demo.sandbox import SandboxView
from infra.embedded import Stack
from infra.embedded.deferred import deferred
from infra.embedded.service import die_with_parent, own_program
from processor.core.outcomes import MonthCounts
from processor.ops.dead_letters import Wanted, list_entries
from processor.ops.status import month_status
from schemas.kafka.reading import read_topic
from schemas.runtime.entry import enter
from schemas.runtime.errors import MailonceError
from schemas.runtime.settings import Settings, load_settings

MONTH = f"{datetime.now(UTC):%Y-%m}"
HERE = Path(__file__).parent
FOLDER = Path(".mailonce/demo")
JOBS = 1000
RATE = 150
"""The emulated account's MaxSendRate: slow enough to watch, and to be killed in the middle."""
CRASH_AT = 55

OWN = {
    # A killed sender's calls are settled after the attempt's lifetime: 330 s with SES, whose signatures live 5 minutes.
    # The sandbox is told to refuse signatures after 3 s, so that the demo need not wait that long.
    "MAILONCE_SIGNATURE_AGE_S": "3",
    "MAILONCE_ATTEMPT_LIFETIME_S": "7",
    "MAILONCE_SESSION_TIMEOUT_S": "3",
    "MAILONCE_LOG_FORMAT": "json",
}


class Demo:
    """The stack, the processes and what is shown of them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        shutil.rmtree(FOLDER, ignore_errors=True)
        self.work = FOLDER.absolute() / "work"
        self.work.mkdir(parents=True)
        options = [f"max_send_rate={RATE}", "latency_ms=40", "signature_age_s=3"]
        arguments = tuple(part for option in options for part in ("--set", option))
        self.stack = Stack(FOLDER, tied=True, sandbox_options=arguments)
        self.processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.interrupted = False
        self.settings: Settings
        self.sandbox: SandboxView
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.interrupted = True
        raise KeyboardInterrupt

    def go_on(self) -> None:
        """Raises KeyboardInterrupt once more: Python drops an exception that a signal raises in its hooks on a fork."""
        if self.interrupted:
            raise KeyboardInterrupt

    def start_stack(self) -> None:
        with self.console.status("starting Kafka, Valkey and the SES sandbox") as line:
            self.stack.up(("kafka", "valkey", "ses"), lambda text: line.update(text))
        for name in [name for name in os.environ if name.startswith(("MAILONCE_", "AWS_"))]:
            del os.environ[name]
        os.environ.update(self.stack.env() | OWN)
        self.settings = load_settings()
        self.sandbox = SandboxView(os.environ["AWS_ENDPOINT_URL_SESV2"])

    def mailonce(self, *args: str) -> subprocess.Popen[bytes]:
        out: IO[bytes] = (self.work / f"{args[0]}.log").open("ab")
        with out, deferred():
            process = subprocess.Popen(
                own_program("mailonce", *args),
                cwd=self.work,
                stdout=out,
                stderr=out,
                preexec_fn=die_with_parent,
            )
            self.processes.append((args[0], process))
        return process

    def finish(self, process: subprocess.Popen[bytes], ok: tuple[int, ...] = (0,)) -> None:
        code = process.wait()
        self.go_on()
        if code not in ok:
            raise MailonceError(f"{process.args!r} ended with {code}; its output is in {self.work}")

    def stop(self) -> None:
        for _, process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.stack.down()

    def published(self) -> int:
        self.go_on()
        return sum(1 for _ in read_topic(self.settings, self.settings.topics.jobs))


def main() -> int:
    enter()
    console = Console()
    demo = Demo(console)
    began = time.monotonic()
    try:
        demo.start_stack()
        return _story(demo, began)
    except MailonceError as error:
        console.print(f"[red]{error}[/]", highlight=False)
        return error.exit_code
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    finally:
        demo.stop()


def _story(demo: Demo, began: float) -> int:
    say = demo.console.print
    say("[bold]A month's mail: 1,000 customers' device usage, and a crash at e-mail 55[/]")
    demo.finish(demo.mailonce("topics", "create"))
    demo.finish(demo.mailonce("templates", "push", str(HERE / "templates")))
    demo.sandbox.fault(kind="reject", address="*@blocked.example.org")
    with _progress(demo.console) as bars:
        _produce(demo, bars)
        _process(demo, bars)
    return _report(demo, time.monotonic() - began)


def _produce(demo: Demo, bars: Progress) -> None:
    source = ("produce", "--month", MONTH, "--source", str(HERE / "usage.csv"))
    bar = bars.add_task("jobs published", total=JOBS)
    first = demo.mailonce(*source, "--max-rate", "400")
    while first.poll() is None and (count := demo.published()) < JOBS // 2:
        bars.update(bar, completed=count)
    first.send_signal(signal.SIGKILL)
    first.wait()
    bars.update(bar, completed=demo.published())
    bars.console.print(f"  producer killed (SIGKILL) after {demo.published()} jobs; run again", highlight=False)
    # 3: a dozen bad rows were rejected, as they should be.
    demo.finish(demo.mailonce(*source), ok=(0, 3))
    bars.update(bar, completed=demo.published())


def _process(demo: Demo, bars: Progress) -> None:
    bar = bars.add_task("accepted by SES", total=JOBS)
    victim = demo.mailonce("process", "--instance", "one")
    _watch(demo, bars, bar, lambda accepted: accepted >= CRASH_AT // 2)
    other = demo.mailonce("process", "--drain", "--instance", "two")
    _watch(demo, bars, bar, lambda accepted: accepted >= CRASH_AT)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    accepted = demo.sandbox.accepted()
    bars.console.print(f"  processor one killed (SIGKILL) in mid-sending, at e-mail {accepted}", highlight=False)
    again = demo.mailonce("process", "--drain", "--instance", "one")
    bars.console.print("  processor one started again; two goes on meanwhile", highlight=False)
    _watch(demo, bars, bar, lambda _: other.poll() is not None and again.poll() is not None)
    demo.finish(other)
    demo.finish(again)
    bars.update(bar, total=demo.sandbox.accepted())


def _watch(demo: Demo, bars: Progress, bar: TaskID, done: Callable[[int], bool]) -> None:
    """Shows the sandbox's count until `done` says so; a processor that ended badly ends the demo."""
    while not done(accepted := demo.sandbox.accepted()):
        demo.go_on()
        bars.update(bar, completed=accepted)
        for command, process in demo.processes:
            if command == "process" and process.poll() not in {None, 0, -signal.SIGKILL}:
                demo.finish(process)
        time.sleep(0.05)
    bars.update(bar, completed=demo.sandbox.accepted())


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
        yield bars


def _report(demo: Demo, seconds: float) -> int:
    status = month_status(demo.settings, MONTH)
    summary = demo.sandbox.summary()
    reasons = Counter(entry.letter.reason for entry in list_entries(demo.settings, Wanted(month=MONTH)))
    duplicates = int(summary["duplicates"])
    table = Table("", "", title=f"{MONTH}, by the topics and SES's own record", show_header=False)
    table.columns[1].justify = "right"
    rows = {
        "jobs": f"{status.jobs:,}",
        "accepted by SES": f"{summary['accepted']:,}",
        "duplicates accepted": f"[{'red' if duplicates else 'green'}]{duplicates}[/]",
        "sent": f"{status.sent:,}",
        "dead letters": f"{status.dead:,}",
        **{f"  {reason}": f"{count:,}" for reason, count in reasons.items()},
        "uncertain (held, not repeated)": f"{status.uncertain:,}",
        "without an outcome": f"{status.pending:,}",
        "seconds in all": f"{seconds:.1f}",
        f"e-mails a second (account's limit: {RATE})": f"{demo.sandbox.rate():.0f}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    demo.console.print(table)
    _next_steps(demo, status)
    return 0 if not duplicates and status.jobs == JOBS and not status.pending else 1


def _next_steps(demo: Demo, status: MonthCounts) -> None:
    lines = [
        "Look around (the data is kept, the servers are stopped):",
        f"  .venv/bin/mailonce stack up --dir {FOLDER}",
        f'  eval "$(.venv/bin/mailonce stack env --dir {FOLDER})"',
        f"  .venv/bin/mailonce status --month {MONTH}",
        f"  .venv/bin/mailonce show u-1042 {MONTH}",
        "  .venv/bin/mailonce dead-letters list",
        f"  .venv/bin/mailonce stack down --dir {FOLDER}",
        f"The mailbox, while the stack is up: {demo.sandbox.url}",
        f"Rejected rows: {FOLDER}/work/usage-{MONTH}.rejects.csv",
    ]
    if status.uncertain:
        lines.insert(0, "Uncertain: in the air when the processor died. They are held, never sent again unasked.")
    for line in lines:
        demo.console.print(line, highlight=False, markup=False, soft_wrap=True)
