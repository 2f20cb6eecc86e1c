"""Templates of text and plain names, filled in without the engine.

Most templates are, and the sandbox fills in each mail that it accepts, thousands a second: this takes a tenth of the
engine's time. What is not plain, in a template or in its data, is left to the engine.
"""

from __future__ import annotations

import re
from typing import Any

from schemas.templates.handlebars.nodes import Body, Leaf
from schemas.templates.handlebars.problems import NotFilledIn
from schemas.templates.handlebars.tags import Text
from schemas.templates.handlebars.values import CHARACTERS_MAX, scalar_text

__all__ = ["Plain", "fill_in", "plain_form"]

Plain = tuple[str | tuple[str, ...], ...]
"""Texts, and paths as their names."""

_PATH = re.compile(r"(?!this\b)[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def plain_form(body: Body) -> Plain | None:
    """A settled tree's, if it is of texts, comments and plain names only."""
    found: list[str | tuple[str, ...]] = []
    for node in body:
        if isinstance(node, Text):
            found.append(node.printed)
        elif isinstance(node, Leaf) and _PATH.fullmatch(node.path):
            found.append(tuple(node.path.split(".")))
        elif not isinstance(node, Leaf) or node.source:
            return None
    return tuple(found)


def fill_in(plain: Plain, data: dict[str, Any]) -> str | None:
    """Nothing where a value is a list or an object; raises as `schemas.templates.handlebars.render` does."""
    printed: list[str] = []
    characters = 0
    for piece in plain:
        text = piece if isinstance(piece, str) else scalar_text(_value(piece, data))
        if text is None:
            return None
        characters += len(text)
        if characters > CHARACTERS_MAX:
            raise NotFilledIn(f"it may become longer than {CHARACTERS_MAX} characters")
        printed.append(text)
    return "".join(printed)


def _value(names: tuple[str, ...], data: dict[str, Any]) -> Any:
    value: Any = data
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            raise KeyError(".".join(names))
    return value
