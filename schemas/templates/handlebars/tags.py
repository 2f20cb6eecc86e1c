"""A template cut into text and tags, each with its line. What a tag says is `grammar`'s business."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.templates.handlebars.problems import TemplateRefused

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
    line: int
    printed: str
    cut_at_start: bool = False
    cut_at_end: bool = False


@dataclass(frozen=True, slots=True)
class Tag:
    """``{{body}}``; ``~`` before or after it takes the whitespace on that side away."""

    body: str
    line: int
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
        raise TemplateRefused(1, f"the template has more than {SIZE_MAX} characters")
    if "\0" in template:
        raise TemplateRefused(template.count("\n", 0, template.index("\0")) + 1, "a NUL character")
    at, line, tags = 0, 1, 0
    while (start := template.find("{{", at)) >= 0:
        if text := template[at:start]:
            yield Text(text, line, text)
            line += text.count("\n")
        if text.endswith("\\"):
            raise TemplateRefused(line, "a backslash before {{ prints the braces", "put what is meant into the data")
        tag, at = _tag(template, start, line)
        tags += 1
        if tags > TAGS_MAX:
            raise TemplateRefused(line, f"the template has more than {TAGS_MAX} tags")
        yield tag
        line += template.count("\n", start, at)
    if rest := template[at:]:
        yield Text(rest, line, rest)


def _tag(template: str, start: int, line: int) -> tuple[Tag, int]:
    """The tag that begins at `start`, and where it ends."""
    if template.startswith("{{{{", start):
        raise TemplateRefused(line, "{{{{ begins a raw block", "put what is meant into the data")
    if opened := _LONG_COMMENT.match(template, start):
        # Two dashes may both begin and end it: {{!--}} is whole.
        closed = _LONG_COMMENT_END.search(template, opened.end() - 2)
        if not closed:
            raise TemplateRefused(line, "a comment {{!-- that does not end", "end it with --}}")
        return Tag("!", line, "~" in opened.group(), "~" in closed.group()), closed.end()
    if comment := _COMMENT.match(template, start):
        return Tag("!", line, bool(comment[1]), bool(comment[3])), comment.end()
    if found := _RAW.match(template, start):
        return Tag(_visible(found[2], line), line, bool(found[1]), bool(found[3]), raw=True), found.end()
    if found := _TAG.match(template, start):
        return Tag(_visible(found[2], line), line, bool(found[1]), bool(found[3])), found.end()
    shown = template[start : start + 30].splitlines()[0]
    raise TemplateRefused(line, f"{shown} is no whole tag", "close it with as many braces, and put none into it")


def _visible(body: str, line: int) -> str:
    for char in body:
        if char not in " \t\r\n" and (char.isspace() or not char.isprintable()):
            raise TemplateRefused(line, f"{{{{{body.strip()}}}}} holds an invisible character (U+{ord(char):04X})")
    return body
