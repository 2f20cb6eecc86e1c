"""A template cut into text and tags, each with its line. What a tag says is `grammar`'s business."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.templates.handlebars.problems import Place, TemplateRefused

__all__ = ["SIZE_MAX", "TAGS_MAX", "Tag", "Text", "pieces"]

SIZE_MAX = 500 * 1024
"""SES's limit for a template, in characters here."""
TAGS_MAX = 10_000

_LONG_COMMENT = re.compile(r"\{\{~?!--")
_LONG_COMMENT_END = re.compile(r"--~?\}\}")
_COMMENT = re.compile(r"\{\{(~?)!(.*?)(~?)\}\}", re.DOTALL)
_RAW = re.compile(r"\{\{(~?)\{([^{}]*)\}(~?)\}\}(?!\})")
_TAG = re.compile(r"\{\{(~?)([^{}]*?)(~?)\}\}(?!\})")


@dataclass(slots=True)
class Text:
    """Characters between tags. Whitespace rules look at what was written and shorten what is printed."""

    written: str
    place: Place
    printed: str
    cut_at_start: bool = False
    cut_at_end: bool = False


@dataclass(frozen=True, slots=True)
class Tag:
    """``{{body}}``; ``~`` before or after it takes the whitespace on that side away."""

    body: str
    place: Place
    at: int
    """where its body begins in the template"""
    before: bool = False
    after: bool = False
    raw: bool = False
    """three braces"""

    @property
    def shown(self) -> str:
        words = " ".join(self.body.split())
        braces = ("{{{", "}}}") if self.raw else ("{{", "}}")
        return words[:60].join(braces)


def pieces(template: str) -> Iterator[Text | Tag]:
    """Raises `TemplateRefused` for what is no whole tag."""
    if len(template) > SIZE_MAX:
        raise TemplateRefused(Place(1, 1), f"the template has more than {SIZE_MAX} characters")
    if "\0" in template:
        raise TemplateRefused(_after(Place(1, 1), template[: template.index("\0")]), "a NUL character")
    at, place, tags = 0, Place(1, 1), 0
    while (start := template.find("{{", at)) >= 0:
        if text := template[at:start]:
            yield Text(text, place, text)
            place = _after(place, text)
        if text.endswith("\\"):
            raise TemplateRefused(place, "a backslash before {{ prints the braces", "put what is meant into the data")
        tag, at = _tag(template, start, place)
        tags += 1
        if tags > TAGS_MAX:
            raise TemplateRefused(place, f"the template has more than {TAGS_MAX} tags")
        yield tag
        place = _after(place, template[start:at])
    if rest := template[at:]:
        yield Text(rest, place, rest)


def _after(place: Place, text: str) -> Place:
    """Where a text ends that begins at the place."""
    lines = text.count("\n")
    return Place(place.line + lines, len(text) - text.rfind("\n") if lines else place.column + len(text))


def _tag(template: str, start: int, place: Place) -> tuple[Tag, int]:
    """The tag that begins at `start`, and where it ends."""
    if template.startswith("{{{{", start):
        raise TemplateRefused(place, "{{{{ begins a raw block", "put what is meant into the data")
    if opened := _LONG_COMMENT.match(template, start):
        # Two dashes may both begin and end it: {{!--}} is whole.
        closed = _LONG_COMMENT_END.search(template, opened.end() - 2)
        if not closed:
            raise TemplateRefused(place, "a comment {{!-- that does not end", "end it with --}}")
        return Tag("!", place, start, "~" in opened.group(), "~" in closed.group()), closed.end()
    if comment := _COMMENT.match(template, start):
        return Tag("!", place, start, bool(comment[1]), bool(comment[3])), comment.end()
    for form in (_RAW, _TAG):
        if found := form.match(template, start):
            body = _visible(found[2], place)
            return Tag(body, place, found.start(2), bool(found[1]), bool(found[3]), raw=form is _RAW), found.end()
    shown = template[start : start + 30].splitlines()[0]
    raise TemplateRefused(place, f"{shown} is no whole tag", "close it with as many braces, and put none into it")


def _visible(body: str, place: Place) -> str:
    for char in body:
        if char not in " \t\r\n" and (char.isspace() or not char.isprintable()):
            raise TemplateRefused(place, f"{{{{{body.strip()}}}}} holds an invisible character (U+{ord(char):04X})")
    return body
