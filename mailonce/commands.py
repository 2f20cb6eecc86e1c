"""The tree of commands, and what an error of theirs becomes. ``mailonce X`` stands in the module `mailonce.x`.

Each command imports what it needs when it runs, so that ``--help`` and small commands start at once.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import typer

from mailonce import (
    brake,
    cancel,
    dashboard,
    dead_letters,
    dedup,
    doctor,
    evidence,
    forecast,
    forget,
    missing,
    preview,
    process,
    produce,
    replay,
    settings,
    show,
    sources,
    stack,
    status,
    suppressions,
    templates,
    topics,
    uncertain,
)
from schemas.runtime.errors import Interrupted, MailonceError, UsageError

__all__ = ["app", "run"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Each user's monthly e-mail, sent exactly once.",
)
_IN_ORDER = (
    *(produce, preview, process, evidence, status, missing, forecast, show, replay, dashboard, cancel),
    *(brake, settings, doctor, forget),
    *(topics, sources, templates, dead_letters, uncertain, suppressions, dedup, stack),
)
for module in _IN_ORDER:
    app.add_typer(module.app)


def run() -> None:
    """Runs a command; a known error becomes one clear message and its exit code."""
    try:
        _run()
    except SystemExit as left:
        # Only what runs tasks or threads has loaded it, and only a process of its own may be ended.
        ending = sys.modules.get("schemas.runtime.ending")
        if ending is not None and isinstance(left.code, int) and _is_program():
            ending.leave(left.code)
        raise


def _is_program() -> bool:
    """Whether this process is ``mailonce`` or ``python -m mailonce``, and not somebody's who calls `run`."""
    started = sys.modules["__main__"]
    name = started.__spec__.name if started.__spec__ else Path(getattr(started, "__file__", "") or "").name
    return name.startswith("mailonce")


def _run() -> None:
    try:
        app()
    except KeyboardInterrupt:
        _fail(Interrupted("stopped"))
    except MailonceError as error:
        _fail(error)
    except Exception as error:
        if (known := _wrong_option(error) or _no_room(error)) is None:
            raise
        _fail(known)


def _wrong_option(error: Exception) -> UsageError | None:
    """What librdkafka says of a ``MAILONCE_KAFKA_*`` it cannot make a client with."""
    from confluent_kafka import KafkaError, KafkaException

    from schemas.runtime.secrets import told_by_librdkafka

    cause = error.args[0] if isinstance(error, KafkaException) and error.args else None
    if isinstance(cause, KafkaError) and cause.code() == KafkaError._INVALID_ARG:
        return UsageError(
            f"MAILONCE_KAFKA_*: no client can be made with these options: {told_by_librdkafka(cause.str())}"
        )
    return None


def _no_room(error: Exception) -> MailonceError | None:
    """A disk that is full or can only be read: where a message goes, a file of rejects, a stack's folder."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
        where = f" {error.filename}" if error.filename else ""
        return MailonceError(
            f"cannot write{where}: {error.strerror}; make room or choose another place, then try again"
        )
    return None


def _fail(error: MailonceError) -> None:
    print(f"mailonce: {error}", file=sys.stderr)  # noqa: T201 - the message
    sys.exit(error.exit_code)
