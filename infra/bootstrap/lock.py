"""Reads a lock of packages as text: which it pins, and the lines of some of them."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["blocks", "needed_by", "part"]

_NAME = re.compile(r"^([a-z0-9][a-z0-9._-]*)==", re.IGNORECASE)
_USER = re.compile(r"^ +# +(?:via +)?(?!via$|-)(\S+)")
"""A line of ``# via``, or one below it; ``-c`` and ``-r`` name files."""


def blocks(text: str) -> dict[str, str]:
    """Each package's own lines (its pin, its marker, its hashes) by its name; several pins where Pythons differ."""
    found: dict[str, list[str]] = {}
    name = None
    for line in text.splitlines():
        if begins := _NAME.match(line):
            name = begins[1].lower()
            found.setdefault(name, [])
        if name and not line.lstrip().startswith("#"):
            found[name].append(line)
    return {name: "\n".join(lines) + "\n" for name, lines in found.items()}


def part(text: str, names: Collection[str]) -> str:
    """The lock of `names` alone. Raises `KeyError` when one is not in it."""
    known = blocks(text)
    return "".join(known[name] for name in names)


def needed_by(text: str) -> dict[str, set[str]]:
    """Who needs each package, as uv's comments below it say."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if begins := _NAME.match(line):
            users = found.setdefault(begins[1].lower(), set())
        elif user := _USER.match(line):
            users.add(user[1])
    return found
