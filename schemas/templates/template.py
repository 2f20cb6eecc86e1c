"""What a template needs of a mail's data, and whether the data has it.

SES accepts a mail whose template lacks a variable and drops it later (a Rendering Failure event), so this is decided
before the call, on the template's tree and with the mail's own data: whole paths, in the branches that the mail takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from schemas.templates.data import AS_IT_IS, Form, opened, template_values
from schemas.templates.handlebars import TemplateRefused, tree_of
from schemas.templates.handlebars.nodes import Body, Leaf
from schemas.templates.handlebars.paths import Path, path_of
from schemas.templates.handlebars.problems import Place
from schemas.templates.handlebars.tags import Tag, Text, pieces
from schemas.templates.handlebars.walk import Walk, member
from schemas.templates.names import FILES, HTML_TWIN, OPENED_TWIN, TWINS
from schemas.templates.scopes import scopes_of
from schemas.templates.uses import Scopes

__all__ = ["Judged", "Lacking", "Needs"]

_WORD = {"each", "with", "lookup"}


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a mail's data lacks."""

    path: str
    """as the template's author wrote it"""
    where: str = ""
    """``body.html:3:7``"""
    what: str = ""
    """what it had to be, where it is there but something else"""

    def __str__(self) -> str:
        return f"{self.path} as {self.what}" if self.what else self.path


@dataclass(frozen=True, slots=True)
class Judged:
    """A template gone through with one mail's data."""

    lacking: tuple[Lacking, ...]
    in_subject: tuple[tuple[str, Any], ...]
    """what its subject prints: paths and their values"""


@dataclass(frozen=True, slots=True)
class _Plain:
    """A path of the data's own that is printed, whatever the data."""

    path: str
    names: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    plain: tuple[_Plain, ...]
    """what a part without blocks prints"""
    body: Body | None = None
    """the tree of one that data decides on"""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a template asks of a mail's data."""

    names: frozenset[str] = frozenset()
    """the data's own names that it cannot do without, whatever the data"""
    in_subject: frozenset[str] = frozenset()
    form: Form = AS_IT_IS
    _parts: tuple[_Part, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(cls, content: Mapping[str, str | None]) -> Needs:
        """Of SES's ``TemplateContent``, as its author wrote it or as it is kept.

        A part that cannot be read here, because it was put into SES by other means, tells by its plain tags.
        """
        names, subject = set[str](), frozenset[str]()
        scopes, parts = list[Scopes](), list[_Part]()
        for name in FILES:
            part, own, found = _read(name, content.get(name) or "")
            parts.append(part)
            scopes += [found] if found else []
            names |= own
            subject = frozenset(own) if name == "Subject" else subject
        whole = "".join(content.get(name) or "" for name in FILES)
        nested = frozenset[str]().union(*(one.nested for one in scopes)) - set(TWINS)
        html = any(HTML_TWIN in one.twins for one in scopes) or f"{HTML_TWIN}." in whole
        opens = any(OPENED_TWIN in one.twins for one in scopes)
        form = Form(html, opens, any(one.takes_all for one in scopes), nested if html or opens else frozenset())
        return cls(frozenset(names), subject, form, tuple(parts))

    @property
    def twin(self) -> bool:
        """Whether its HTML takes escaped values."""
        return self.form.html

    @property
    def branches(self) -> bool:
        """Whether data decides what it prints."""
        return any(part.body is not None for part in self._parts)

    @property
    def flat(self) -> bool:
        """Whether the data's own names alone decide what it lacks: it prints their values, and nothing else."""
        return all(part.body is None and all(len(one.names) == 1 for one in part.plain) for part in self._parts)

    def judge(self, data: dict[str, Any]) -> Judged:
        """Raises `schemas.templates.handlebars.NotFilledIn` for a mail that would not end."""
        lacking, in_subject = list[Lacking](), list[tuple[str, Any]]()
        values: dict[str, Any] | None = None
        for part in self._parts:
            if part.body is None:
                found = [(one, _value(one.names, data)) for one in part.plain]
                lacking += [_lacking(part, one.path, one.place) for one, value in found if value is None]
                printed = [(one.path, value) for one, value in found]
            else:
                values = values or self._values(data)
                walk = Walk(values).go(part.body)
                lacking += [_lacking(part, lack.path, lack.place, lack.what) for lack in walk.lacks]
                printed = [(tag.shown, value) for tag, value in walk.printed if isinstance(tag, Tag)]
            if part.name == "Subject":
                in_subject += [(path, value) for path, value in printed if value is not None]
        told = {_first(path_of(one.path)) for one in lacking if not one.path.startswith("(")}
        lacking += [Lacking(name) for name in self.names - told if data.get(name) is None]
        return Judged(tuple(sorted(set(lacking), key=lambda one: (one.path, one.where))), tuple(in_subject))

    def _values(self, data: dict[str, Any]) -> dict[str, Any]:
        """For a template that is not kept yet, JSON texts are opened where they stand."""
        if self.form != AS_IT_IS:
            return template_values(data, self.form)
        return {name: opened(value) for name, value in data.items()}


def _read(name: str, text: str) -> tuple[_Part, set[str], Scopes | None]:
    """A part, the names it cannot do without, and what its names mean."""
    try:
        body = tree_of(text)
    except TemplateRefused:
        plain = tuple(_loosely(text))
        return _Part(name, plain), {one.names[0] for one in plain}, None
    scopes = scopes_of(body, html=name == "Html")
    plain = tuple(_plain(body))
    simple = all(isinstance(node, Text) or (isinstance(node, Leaf) and _is_plain(node)) for node in body)
    return _Part(name, plain, None if simple else body), {one.names[0] for one in plain if one.names}, scopes


def _is_plain(leaf: Leaf) -> bool:
    return leaf.said is None or leaf.said.head is not None


def _plain(body: Body) -> Iterator[_Plain]:
    """What stands outside of all blocks: what is printed there, looked into or gone through."""
    for node in body:
        if isinstance(node, Text) or node.said is None or (isinstance(node, Leaf) and node.partial):
            continue
        tag = node.tag if isinstance(node, Leaf) else node.opened
        said = node.said
        head = said.head if isinstance(node, Leaf) else None
        value = head or (said.arguments[0] if said.name in _WORD else None)
        if value is not None and value.path is not None and value.path.data in {"", "root"} and not value.path.climbs:
            yield _Plain(_own(value.path), _names(value.path), tag.place)


def _loosely(text: str) -> Iterator[_Plain]:
    """Plain tags outside of all blocks, as far as a part can be taken apart."""
    depth = 0
    try:
        for piece in pieces(text):
            if isinstance(piece, Text) or piece.body[:1] in {"!", ">", "&", "*"}:
                continue
            words = piece.body.split()
            depth += piece.body[:1] in {"#", "^"}
            depth -= piece.body[:1] == "/"
            if not depth and len(words) == 1 and (words[0][0].isalpha() or words[0][0] == "_") and words[0] != "else":
                path = path_of(words[0])
                if names := _names(path):
                    yield _Plain(names[0], names[:1], piece.place)
    except TemplateRefused:
        return


def _names(path: Path) -> tuple[str, ...]:
    """Within the data itself."""
    if path.names and path.names[0] == HTML_TWIN:
        return tuple(unescape(name) for name in path.names[1:])
    return path.names[1:] if path.names and path.names[0] == OPENED_TWIN else path.names


def _own(path: Path) -> str:
    """As its author wrote it."""
    for twin in TWINS:
        if path.tail.startswith(f"{twin}."):
            return path.written.removesuffix(path.tail) + unescape(path.tail.removeprefix(f"{twin}."))
    return path.written


def _first(path: Path) -> str:
    return (_names(path) or ("",))[0]


def _value(names: tuple[str, ...], data: dict[str, Any]) -> Any:
    value: Any = data
    for n, name in enumerate(names):
        value = member(opened(value) if n == 1 else value, name)
    return value


def _lacking(part: _Part, path: str, place: Place, what: str = "") -> Lacking:
    own = _own(path_of(path)) if not path.startswith("(") else path
    return Lacking(own, f"{FILES[part.name]}:{place.line}:{place.column}", what)
