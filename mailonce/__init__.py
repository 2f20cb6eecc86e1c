"""The command line: ``mailonce`` and ``python -m mailonce``.

Each command imports what it needs when it runs, so that ``--help`` and small commands start at once.
"""

from __future__ import annotations

import sys

import typer

from mailonce import month, stack
from mailonce.dead_letters import dead_letters_app
from mailonce.judgements import suppressions_app, uncertain_app
from mailonce.upkeep import dedup_app, settings_app, templates_app, topics_app
from schemas.errors import Interrupted, MailonceError, UsageError

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Each user's monthly e-mail, sent exactly once.",
)
app.add_typer(month.app)
app.add_typer(settings_app)
app.add_typer(topics_app, name="topics")
app.add_typer(templates_app, name="templates")
app.add_typer(dead_letters_app, name="dead-letters")
app.add_typer(uncertain_app, name="uncertain")
app.add_typer(suppressions_app, name="suppressions")
app.add_typer(dedup_app, name="dedup")
app.add_typer(stack.app, name="stack")


def main() -> None:
    """Runs a command; a known error becomes one clear message and its exit code."""
    try:
        app()
    except KeyboardInterrupt:
        _fail(Interrupted("stopped"))
    except MailonceError as error:
        _fail(error)
    except Exception as error:
        if (wrong := _wrong_option(error)) is None:
            raise
        _fail(wrong)


def _wrong_option(error: Exception) -> UsageError | None:
    """What librdkafka says of a ``MAILONCE_KAFKA_*`` it cannot make a client with."""
    from confluent_kafka import KafkaError, KafkaException

    from schemas.secrets import told_by_librdkafka

    cause = error.args[0] if isinstance(error, KafkaException) and error.args else None
    if isinstance(cause, KafkaError) and cause.code() == KafkaError._INVALID_ARG:
        return UsageError(
            f"MAILONCE_KAFKA_*: no client can be made with these options: {told_by_librdkafka(cause.str())}"
        )
    return None


def _fail(error: MailonceError) -> None:
    print(f"mailonce: {error}", file=sys.stderr)  # noqa: T201 - the message
    sys.exit(error.exit_code)
