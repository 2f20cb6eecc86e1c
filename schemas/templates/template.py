"""Which variables a stored SES template needs, and values escaped for its HTML.

SES accepts a mail whose template lacks a variable and drops it later (a Rendering Failure event), so the variables
are checked before the call. Of Handlebars blocks (``{{#if}}``, ``{{#each}}``) only what they depend on is read here.

SES does not escape values, and subject, text and HTML share one set of data. So an HTML part is stored with
``{{_html.name}}`` where its author wrote ``{{name}}``, and a mail's data then holds every value twice: as it is, and
escaped under ``_html``. Three braces, ``{{{name}}}``, ask for the value as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = [
    "HTML_TWIN",
    "Needs",
    "escape_html_part",
    "has_blocks",
    "missing_variables",
    "variables",
    "with_twin",
]

HTML_TWIN = "_html"
"""The variable under which a template's data holds all values escaped for HTML."""

_MUSTACHE = re.compile(r"\{\{~?\{?\s*([^{}]*?)\s*\}?~?\}\}")
_TAG = re.compile(r"(\{\{~?\{?)(\s*)([^{}]*?)(\s*)(\}?~?\}\})")
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
                    needed.update(_first(name) for name in words[1:2] if _NAME.match(name))
                depth += 1
            elif tag.startswith("/"):
                depth -= 1
            elif depth == 0 and _NAME.match(tag) and tag != "else":
                needed.add(_first(tag))
    return frozenset(needed)


def _first(path: str) -> str:
    """The name of the data's own that a path begins with."""
    match = _NAME.match(path.removeprefix(f"{HTML_TWIN}."))
    return match.group() if match else path


@dataclass(frozen=True, slots=True)
class Needs:
    """What a stored template asks of a mail's data."""

    names: frozenset[str] = frozenset()
    in_subject: frozenset[str] = frozenset()
    twin: bool = False
    """whether its HTML takes escaped values"""

    @classmethod
    def of(cls, content: dict[str, str]) -> Needs:
        """Of SES's ``TemplateContent``."""
        subject, text, html = (content.get(part) or "" for part in ("Subject", "Text", "Html"))
        return cls(variables(subject, text, html), variables(subject), f"{HTML_TWIN}." in html)


def escape_html_part(part: str) -> str:
    """The part with ``{{name}}`` turned into ``{{_html.name}}``, also where ``each`` and ``with`` take a name.

    Inside those, names are of the escaped value already.
    """
    scopes: list[str] = []

    def turned(match: re.Match[str]) -> str:
        opening, before, tag, after, closing = match.groups()
        words = tag.split()
        if tag.startswith(("#", "^")):
            outside = not _scoped(scopes)
            scopes.append(words[0][1:] if words else "")
            if outside and _scoped(scopes[-1:]) and len(words) > 1:
                tag = " ".join([words[0], _twin_of(words[1]), *words[2:]])
        elif tag.startswith("/"):
            del scopes[-1:]
        elif opening in {"{{", "{{~"} and not _scoped(scopes) and len(words) == 1 and tag != "else":
            tag = _twin_of(tag)
        return f"{opening}{before}{tag}{after}{closing}"

    return _TAG.sub(turned, part)


def _scoped(blocks: list[str]) -> bool:
    return any(block in {"each", "with"} for block in blocks)


def _twin_of(name: str) -> str:
    name = name.removeprefix("this.")
    return f"{HTML_TWIN}.{name}" if _NAME.match(name) and not name.startswith(("@", f"{HTML_TWIN}.")) else name


def with_twin(data: dict[str, Any]) -> dict[str, Any]:
    """The data and beside it, under ``_html``, the same with every text escaped."""
    return {**data, HTML_TWIN: _escaped(data)}


def _escaped(value: Any) -> Any:
    match value:
        case str():
            return escape(value)
        case dict():
            return {name: _escaped(inner) for name, inner in value.items()}
        case list():
            return [_escaped(inner) for inner in value]
        case _:
            return value


def missing_variables(needed: frozenset[str], data: dict[str, Any]) -> list[str]:
    """The needed names that `data` lacks or holds as null, sorted."""
    return sorted(name for name in needed if data.get(name) is None)


def has_blocks(part: str) -> bool:
    return any(tag.startswith(("#", "^", ">")) for tag in _MUSTACHE.findall(part))
