"""A template as SES is to keep it: where its HTML prints a value it names the escaped one, and what goes into a JSON
text names the value that it says.

SES escapes nothing and fills in subject, text and HTML from one set of data. So the data of a mail holds every value
twice (`schemas.templates.data`), and every name here is looked up in the right one, as the template's tree says
(`schemas.templates.scopes`). Three braces, ``{{{name}}}``, ask for the value as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from schemas.templates.handlebars import check, tree_of
from schemas.templates.handlebars.problems import TemplateRefused
from schemas.templates.handlebars.tags import Tag
from schemas.templates.names import HTML_TWIN, OPENED_TWIN, TWINS
from schemas.templates.scopes import scopes_of
from schemas.templates.uses import Frame, Role, Scopes, Use

__all__ = ["PartRefused", "escape_html_part", "kept_form"]

_Edit = tuple[int, int, str]


class PartRefused(TemplateRefused):
    """A template's part that is broken, ambiguous, or whose HTML cannot be proved to be escaped."""

    def __init__(self, part: str, why: TemplateRefused) -> None:
        self.part = part
        super().__init__(why.place, why.what, why.instead)


def kept_form(content: Mapping[str, str]) -> tuple[dict[str, str], list[PartRefused]]:
    """SES's ``TemplateContent`` as it is to be kept, and the first problem of each part."""
    problems: list[PartRefused] = []
    scopes: dict[str, Scopes] = {}
    for part, text in content.items():
        try:
            check(text)
            scopes[part] = scopes_of(tree_of(text), html=part == "Html")
        except TemplateRefused as why:
            problems.append(PartRefused(part, why))
        else:
            problems += [PartRefused(part, why) for why in sorted(scopes[part].problems, key=lambda one: one.place)[:1]]
    if problems:
        return dict(content), problems
    nested = frozenset[str]().union(*(one.nested for one in scopes.values()))
    kept = {part: _edited(content[part], _Editor(scopes[part], nested).edits()) for part in content}
    for part, text in kept.items():
        try:
            check(text)
        except TemplateRefused as why:
            problems.append(PartRefused(part, why))
    return kept, problems


def escape_html_part(part: str) -> str:
    """An HTML part alone, as it is kept. Raises `TemplateRefused`."""
    kept, problems = kept_form({"Html": part})
    for problem in problems:
        raise problem
    return kept["Html"]


def _edited(text: str, edits: Iterator[_Edit]) -> str:
    for start, end, instead in sorted(edits, reverse=True):
        text = text[:start] + instead + text[end:]
    return text


class _Editor:
    """What is to be changed in one part."""

    def __init__(self, scopes: Scopes, nested: frozenset[str]) -> None:
        self._scopes, self._nested = scopes, nested
        self._own = HTML_TWIN if scopes.html else OPENED_TWIN

    def edits(self) -> Iterator[_Edit]:
        for use in self._scopes.uses:
            written = use.value.source
            if (instead := self._instead(use)) != written:
                at = use.tag.at + use.value.start
                yield at, at + len(written), instead
                if use.closed is not None:
                    at = use.closed.at + use.closed.body.index(written, 1)
                    yield at, at + len(written), instead
        for tag, ends, frame in self._scopes.bare:
            if twin := self._for_partial(frame):
                yield tag.at + ends, tag.at + ends, f" {twin}"
        for block, frame in self._scopes.wraps:
            assert block.closed is not None
            before, after = block.alone
            start, end = _begins(block.opened), _ends(block.closed)
            yield start, start, _tag(block.opened.before, f"#with {frame.kind(self._own)}", False) + "\n" * before
            yield end, end, "\n" * after + _tag(False, "/with", block.closed.after)

    def _instead(self, use: Use) -> str:
        value, path = use.value, use.value.path
        if path is None:
            escaped = use.into is not None and use.into.kind(self._own) == HTML_TWIN
            return value.source[0] + escape(value.source[1:-1]) + value.source[-1] if escaped else value.source
        if path.data == "key" or (use.target is None and path.names and path.names[0] in TWINS):
            return value.source
        twin = self._twin(use)
        tail = path.tail.replace("&", "&amp;") if (twin or self._kind(use)) == HTML_TWIN else path.tail
        beginning = path.written.removesuffix(path.tail)
        if not twin:
            return beginning + tail
        climbs = "../" * path.climbs if path.climbs else "@root." if path.data else ""
        return climbs + (f"{twin}.{tail}" if tail else twin)

    def _kind(self, use: Use) -> str:
        """Whose values it is looked up in."""
        return use.target.kind(self._own) if use.target is not None else ""

    def _twin(self, use: Use) -> str:
        """The twin that a value of the data itself is taken from; none: from the data as it is."""
        if use.target is not None:
            return ""
        first = use.names[0] if use.names else ""
        if use.role is Role.TESTED:
            return self._own if first in self._nested else ""
        if use.role in {Role.PRINTED, Role.RAW}:
            kind = OPENED_TWIN if use.role is Role.RAW else self._own
        else:
            assert use.into is not None, "what is neither printed nor tested goes into something"
            if use.role is Role.GIVEN and not first and not use.name:
                return self._for_partial(use.into)
            kind = use.into.kind(self._own)
        if kind == HTML_TWIN:
            return kind
        printed = use.role in {Role.PRINTED, Role.RAW} and len(use.names) < 2
        return kind if not printed and (first in self._nested or not first) else ""

    def _for_partial(self, frame: Frame) -> str:
        """What a partial gets that is used in the data itself."""
        kind = frame.kind(self._own)
        return kind if kind == HTML_TWIN or frame.entered else ""


def _begins(tag: Tag) -> int:
    return tag.at - len("{{") - tag.before


def _ends(tag: Tag) -> int:
    return tag.at + len(tag.body) + tag.after + len("}}")


def _tag(before: bool, body: str, after: bool) -> str:
    return "{{" + "~" * before + body + "~" * after + "}}"
