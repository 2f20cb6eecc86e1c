"""The command line: every command explains itself, its examples can be typed, and asking for help loads nothing heavy."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from mailonce import app

SHARED = {"--json", "--dir", "--only", "--help"}
"""Options that need no example."""
HEAVY = ("boto3", "botocore", "redis", "confluent_kafka", "duckdb", "faust", "asyncio", "pydantic", "rich")


def commands() -> Iterator[Any]:
    """Every command there is, with the words it is called by."""
    todo = [((), typer.main.get_command(app))]
    while todo:
        words, command = todo.pop()
        inner = getattr(command, "commands", None)
        if inner is None:
            yield pytest.param(words, command, id=" ".join(words))
        else:
            todo += [((*words, name), one) for name, one in inner.items()]


every_command = pytest.mark.parametrize(("words", "command"), list(commands()))


def options_of(command: Any) -> set[str]:
    return {option for one in command.params for option in (*one.opts, *one.secondary_opts) if option.startswith("-")}


@every_command
def test_a_command_says_what_it_does(words: tuple[str, ...], command: Any) -> None:
    """Help, and an example wherever there is more to type than what many commands share."""
    assert command.help
    own = options_of(command) - SHARED or [one for one in command.params if one.param_type_name == "argument"]
    assert not own or "Example: `" in command.epilog, f"{' '.join(words)} has no example"


@every_command
def test_its_example_is_a_call_of_it(words: tuple[str, ...], command: Any) -> None:
    """With options that the command has."""
    if not command.epilog:
        return
    found = re.match(r"Example: `(?:\S+=\S+ )?mailonce ([^`&>]+)", command.epilog)
    assert found, command.epilog
    typed = shlex.split(found[1])
    assert tuple(typed[: len(words)]) == words
    assert {word for word in typed if word.startswith("-")} <= options_of(command)


def test_help_loads_nothing_heavy() -> None:
    """What a command needs is imported when it runs: `--help` and small commands start at once."""
    code = f"import sys, mailonce.commands; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
