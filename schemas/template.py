"""Which variables a stored SES template needs, and plain rendering of it.

SES accepts a mail whose template lacks a variable and drops it later (a Rendering Failure event), so the variables
are checked before the call. Of Handlebars blocks (``{{#if}}``, ``{{#each}}``) only what they depend on is read here.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["has_blocks", "missing_variables", "render_plain", "variables"]

_MUSTACHE = re.compile(r"\{\{\{?\s*([^{}]*?)\s*\}?\}\}")
_NAME = re.compile(r"[A-Za-z_$@][\w$@-]*")


def variables(*parts: str) -> frozenset[str]:
    """Top-level names that a template's parts (subject, text, HTML) cannot do without.

    Names inside a block are left out: they may belong to the block's own scope or never be reached.
    """
    needed: set[str] = set()
    for part in parts:
        depth = 0
        for tag in _MUSTACHE.findall(part):
            if tag.startswith(("#", "^")):
                words = tag[1:].split()
                # `if`, `unless` and comparison helpers exist for variables that may be absent.
                if depth == 0 and words and words[0] in {"each", "with"}:
                    needed.update(name.partition(".")[0] for name in words[1:2] if _NAME.match(name))
                depth += 1
            elif tag.startswith("/"):
                depth -= 1
            elif depth == 0 and (match := _NAME.match(tag)) and tag != "else":
                needed.add(match.group())
    return frozenset(needed)


def missing_variables(needed: frozenset[str], data: dict[str, Any]) -> list[str]:
    """The needed names that `data` lacks or holds as null, sorted."""
    return sorted(name for name in needed if data.get(name) is None)


def has_blocks(part: str) -> bool:
    return any(tag.startswith(("#", "^", ">")) for tag in _MUSTACHE.findall(part))


def render_plain(part: str, data: dict[str, Any]) -> str:
    """`part` with its plain variables filled in, unescaped as SES does; raises ``KeyError`` naming a missing one."""
    return _MUSTACHE.sub(lambda match: str(_look_up(match.group(1), data)), part)


def _look_up(path: str, data: dict[str, Any]) -> Any:
    value: Any = data
    for name in path.split("."):
        if not isinstance(value, dict) or value.get(name) is None:
            raise KeyError(path)
        value = value[name]
    return value
