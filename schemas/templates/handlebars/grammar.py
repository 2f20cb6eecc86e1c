"""What a tag may say: the part of Handlebars' grammar on which engines agree. Everything else is named and refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.templates.handlebars.paths import ID, SEGMENT, Path, path_of, segments
from schemas.templates.handlebars.problems import TemplateRefused
from schemas.templates.handlebars.tags import Tag

__all__ = ["RESERVED", "Call", "Value", "call", "partial_name"]

RESERVED = frozenset(
    {"as", "blockHelperMissing", "each", "else", "false", "helperMissing", "if", "inline", "log", "lookup"}
    | {"mailonce-indent", "null", "true", "undefined", "unless", "with"}
)
"""Names that are helpers or values for one engine or another."""

_TOKEN = re.compile(
    rf"""\s*(?:
      (?P<text>"[^"\\]*"|'[^'\\]*')
    | (?P<open>\() | (?P<close>\))
    | as\s+\|(?P<params>[^|]*)\|
    | (?P<hash>{ID})=
    | (?P<number>-?[0-9]+(?:\.[0-9]+)?)(?=[\s)]|$)
    | (?P<data>@(?:(?:\.\./)*(?:index|key|first|last)|root(?:[./]{SEGMENT})*))(?=[\s)]|$)
    | (?P<path>(?:\.\./)*(?:\.\.|(?:\./|this[./])?{SEGMENT}(?:[./]{SEGMENT})*|\.))(?=[\s)]|$)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,4})?")
_PARAMS = re.compile(rf"\s*({ID})(?:\s+({ID}))?\s*")
_PARTIAL = re.compile(r"\s*(?:([\w-]+)|\"([\w-]+)\"|'([\w-]+)')(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Value:
    """What a tag gives: a path, a text, a number, a truth value, or what ``(lookup a b)`` finds."""

    kind: str
    """path, text, number, bool or lookup"""
    source: str
    """as it is written; of a lookup in the engine's spelling"""
    start: int = 0
    """where it stands in the tag's body"""
    end: int = 0
    path: Path | None = None
    inner: tuple[Value, ...] = ()
    """of a lookup: where, and what"""

    @property
    def all(self) -> tuple[Value, ...]:
        return self.inner or (self,)


@dataclass(frozen=True, slots=True)
class Call:
    """A helper with what it is given, or a path alone. `source` is the same in the engine's spelling."""

    name: str
    head: Value | None = None
    """the name, where it is a path"""
    arguments: tuple[Value, ...] = ()
    named: tuple[tuple[str, Value], ...] = ()
    params: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        words = [self.name, *(value.source for value in self.arguments)]
        words += [f"{name}={value.source}" for name, value in self.named]
        return " ".join(words) + (f" as |{' '.join(self.params)}|" if self.params else "")

    @property
    def values(self) -> tuple[Value, ...]:
        """All that it looks up or gives, in order."""
        return (*((self.head,) if self.head else ()), *self.arguments, *(value for _, value in self.named))

    @property
    def paths(self) -> Iterator[Path]:
        return (one.path for value in self.values for one in value.all if one.path)


def call(tag: Tag, begins: int = 0, name: str = "") -> Call:
    """Reads what stands in a tag from a place in its body on; raises `TemplateRefused`.

    Args:
        tag: the tag.
        begins: behind its sigil.
        name: the helper's, if it does not stand there.
    """
    return _Reader(tag, begins).call(name)


def partial_name(tag: Tag, begins: int) -> tuple[str, int]:
    """A partial's name and where it ends."""
    found = _PARTIAL.match(tag.body, begins)
    name = next((group for group in found.groups() if group), "") if found else ""
    if not found or name.isdigit() or name in RESERVED:
        raise TemplateRefused(tag.place, f"{tag.shown} has no plain name", "name a partial by letters, digits, - and _")
    return name, found.end()


class _Reader:
    """One tag, token by token."""

    def __init__(self, tag: Tag, begins: int) -> None:
        self._tag = tag
        self._body = tag.body
        self._began = self._at = begins

    def call(self, name: str) -> Call:
        head: Value | None = None
        arguments, named = list[Value](), list[tuple[str, Value]]()
        params: tuple[str, ...] = ()
        while self._body[self._at :].strip():
            found = self._next()
            kind, value = found.lastgroup or "", found[found.lastgroup or 0]
            if kind == "params":
                params = self._params(value)
                if self._body[self._at :].strip():
                    raise self._refused("says something after its block parameters")
            elif not name:
                name, head = self._head(found)
            elif kind == "hash":
                named.append((value, self._value(self._next())))
            elif named:
                raise self._refused("gives a value after a named one", "put named values last")
            else:
                arguments.append(self._value(found))
        if not name:
            raise self._refused("is empty")
        return Call(name, head, tuple(arguments), tuple(named), params)

    def _next(self) -> re.Match[str]:
        self._began = self._at
        found = _TOKEN.match(self._body, self._at)
        if not found:
            raise self._unknown()
        self._at = found.end()
        return found

    def _head(self, found: re.Match[str]) -> tuple[str, Value | None]:
        kind, value = found.lastgroup or "", found[found.lastgroup or 0]
        if kind == "path" and value in RESERVED:
            # Who may be called, and how, depends on the tag: `tree` decides.
            return value, None
        if kind in {"path", "data"}:
            return value, self._path(found)
        if kind in {"text", "number"}:
            raise self._refused("prints no value but calls a helper of that name", "write the text without braces")
        if kind == "open":
            raise self._refused("calls what another call answers", "name the helper")
        raise self._unknown()

    def _value(self, found: re.Match[str]) -> Value:
        kind, value = found.lastgroup or "", found[found.lastgroup or 0]
        if kind == "open":
            return self._lookup()
        if kind in {"path", "data"} and value not in {"true", "false"}:
            return self._path(found)
        if kind == "text" and " as |" in value:
            raise self._refused(f"holds {value}, block parameters to some engines", "put the text into the data")
        if kind == "number" and not _NUMBER.fullmatch(value):
            raise self._refused(f"holds {value}", "at most 12 digits and 4 decimals")
        if kind in {"text", "number", "path"}:
            return Value("bool" if kind == "path" else kind, value, *found.span(kind))
        raise self._unknown()

    def _lookup(self) -> Value:
        """``(lookup a b)``; no other helper answers a value, and none within another."""
        name = self._next()
        if name["path"] != "lookup":
            raise self._refused(f"calls ({name[0].strip()} …)", "SES has no helper but lookup that answers a value")
        values = self._plain(), self._plain()
        if self._next().lastgroup != "close":
            raise self._refused("gives lookup more than two values")
        return Value("lookup", f"(lookup {values[0].source} {values[1].source})", inner=values)

    def _plain(self) -> Value:
        found = self._next()
        if found.lastgroup == "open":
            raise self._refused("has a call within a call", "use {{#with}}")
        return self._value(found)

    def _params(self, value: str) -> tuple[str, ...]:
        found = _PARAMS.fullmatch(value)
        names = tuple(name for name in found.groups() if name) if found else ()
        if not names or RESERVED.intersection(names) or "this" in names or any(name[0].isdigit() for name in names):
            raise self._refused(f"has block parameters |{value}|", "name one or two")
        return names

    def _path(self, found: re.Match[str]) -> Value:
        kind = found.lastgroup or ""
        path = path_of(found[kind])
        names = segments(path.tail)
        for n, name in enumerate(names):
            bare = name.strip("[]")
            if not bare.isascii() and bare.removeprefix("-").isdigit():
                # Python takes these for numbers, JavaScript for names.
                raise self._refused(f"has the name {bare}, a number to some engines", "use a name with letters")
            if not name.startswith("[") and re.fullmatch(r"-?[0-9]+", bare):
                raise self._refused(f"has the index {bare} in a path", f"write it as [{bare}]")
            if bare in {"this", ".", ".."} and (n or name != bare):
                raise self._refused(f"has {name!r} within a path", "use it at the beginning only")
        if kind == "path" and len(names) == 1 and path.written in RESERVED:
            raise self._refused(f"uses the reserved name {path.written}", f"for a field write ./{path.written}")
        return Value("path", path.written, *found.span(kind), path)

    def _unknown(self) -> TemplateRefused:
        """Of the token that was read last."""
        word = "".join(self._body[self._began :].split()[:1])
        return self._refused(f"is not understood at {word!r}" if word else "is not complete")

    def _refused(self, what: str, instead: str = "") -> TemplateRefused:
        return TemplateRefused(self._tag.place, f"{self._tag.shown} {what}", instead)
