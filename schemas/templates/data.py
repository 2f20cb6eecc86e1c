"""A job's data as a template sees it: as it is, and beside it what the template's kept form names.

``_html`` holds all of it escaped for HTML, names included, so that whatever is looked up there is escaped. ``_json``
holds it as it is. In both, the text of a JSON object or list is what it says, for those names of the data's own that
the template goes into (``{{#each items}}``, ``{{user.city}}``): sources hand nested values over as their JSON text. At
the top level stands the job's data itself, unchanged, for templates that know of no twins.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import msgspec

from schemas.limits import DEPTH_MAX
from schemas.templates.names import HTML_TWIN, OPENED_TWIN

__all__ = ["AS_IT_IS", "Form", "opened", "template_values", "with_twin"]

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Form:
    """How one template wants its data."""

    html: bool = False
    """whether ``_html`` is there"""
    opened: bool = False
    """whether ``_json`` is there"""
    whole: bool = False
    """whether ``_json`` holds all of the data, and not only what is opened"""
    nested: frozenset[str] = frozenset()
    """the data's own names that the template goes into"""


AS_IT_IS = Form()


def template_values(data: dict[str, Any], form: Form) -> dict[str, Any]:
    """The data for a template of that form. A value of the job's own under a twin's name is replaced."""
    if form == AS_IT_IS:
        return data
    inside = {name: opened(value) if name in form.nested else value for name, value in data.items()}
    made = dict(data)
    if form.html:
        made[HTML_TWIN] = _escaped(inside)
    if form.opened:
        made[OPENED_TWIN] = inside if form.whole else {n: value for n, value in inside.items() if n in form.nested}
    return made


def with_twin(data: dict[str, Any], nested: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The data and beside it, under ``_html``, the same with every text escaped."""
    return template_values(data, Form(html=True, nested=nested))


def opened(value: Any) -> Any:
    """What the text of a JSON object or list says; every other value as it is."""
    if not isinstance(value, str) or value[:1] not in {"{", "["}:
        return value
    try:
        found = _decode(value)
        return found if _depth(found) <= DEPTH_MAX else value
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return value


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _escaped(value: Any) -> Any:
    match value:
        case str():
            return escape(value)
        case dict():
            return {escape(name): _escaped(inner) for name, inner in value.items()}
        case list():
            return [_escaped(inner) for inner in value]
        case _:
            return value
