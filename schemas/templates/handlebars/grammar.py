"""What a tag may say: the part of Handlebars' grammar on which engines agree. Everything else is named and refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.templates.handlebars.problems import TemplateRefused
from schemas.templates.handlebars.tags import Tag

__all__ = ["RESERVED", "Call", "call", "partial_name"]

RESERVED = frozenset(
    {"as", "blockHelperMissing", "each", "else", "false", "helperMissing", "if", "inline", "log", "lookup"}
    | {"mailonce-indent", "null", "true", "undefined", "unless", "with"}
)
"""Names that are helpers or values for one engine or another."""

_ID = r"[^\s!\"#%-,./;->@\[-^`{-~]+"
_SEGMENT = rf"(?:{_ID}|\[[\w .:#$&+,;!?%@*/-]+\])"
_TOKEN = re.compile(
    rf"""\s*(?:
      (?P<text>"[^"\\]*"|'[^'\\]*')
    | (?P<open>\() | (?P<close>\))
    | as\s+\|(?P<params>[^|]*)\|
    | (?P<hash>{_ID})=
    | (?P<number>-?[0-9]+(?:\.[0-9]+)?)(?=[\s)]|$)
    | (?P<data>@(?:(?:\.\./)*(?:index|key|first|last)|root(?:[./]{_SEGMENT})*))(?=[\s)]|$)
    | (?P<path>(?:\.\./)*(?:\.\.|(?:\./|this[./])?{_SEGMENT}(?:[./]{_SEGMENT})*|\.))(?=[\s)]|$)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,4})?")
_PARAMS = re.compile(rf"\s*({_ID})(?:\s+({_ID}))?\s*")
_PARTIAL = re.compile(r"(?:([\w-]+)|\"([\w-]+)\"|'([\w-]+)')(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Call:
    """A helper with what it is given, or a path alone. `source` is the same in the engine's spelling."""

    name: str
    arguments: tuple[str, ...] = ()
    named: tuple[tuple[str, str], ...] = ()
    params: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    """all paths it looks up"""

    @property
    def source(self) -> str:
        words = [self.name, *self.arguments, *(f"{name}={value}" for name, value in self.named)]
        return " ".join(words) + (f" as |{' '.join(self.params)}|" if self.params else "")


def call(tag: Tag, body: str) -> Call:
    """Reads what stands in a tag after its sigil; raises `TemplateRefused`."""
    return _Reader(tag, body).call()


def partial_name(tag: Tag, body: str) -> tuple[str, str]:
    """A partial's name and what follows it."""
    found = _PARTIAL.match(body.strip())
    name = next((group for group in found.groups() if group), "") if found else ""
    if not found or name.isdigit() or name in RESERVED:
        raise TemplateRefused(tag.line, f"{tag.shown} has no plain name", "name a partial by letters, digits, - and _")
    return name, body.strip()[found.end() :]


class _Reader:
    """One tag, token by token."""

    def __init__(self, tag: Tag, body: str) -> None:
        self._tag = tag
        self._body = body
        self._began = self._at = 0
        self._paths: list[str] = []

    def call(self) -> Call:
        name, arguments, named = "", list[str](), list[tuple[str, str]]()
        params: tuple[str, ...] = ()
        while self._body[self._at :].strip():
            found = self._next()
            kind, value = found.lastgroup or "", found[found.lastgroup or 0]
            if kind == "params":
                params = self._params(value)
                if self._body[self._at :].strip():
                    raise self._refused("says something after its block parameters")
            elif not name:
                name = self._head(kind, value)
            elif kind == "hash":
                named.append((value, self._value(self._next())))
            elif named:
                raise self._refused("gives a value after a named one", "put named values last")
            else:
                arguments.append(self._value(found))
        if not name:
            raise self._refused("is empty")
        return Call(name, tuple(arguments), tuple(named), params, tuple(self._paths))

    def _next(self) -> re.Match[str]:
        self._began = self._at
        found = _TOKEN.match(self._body, self._at)
        if not found:
            raise self._unknown()
        self._at = found.end()
        return found

    def _head(self, kind: str, value: str) -> str:
        if kind == "path" and value in RESERVED:
            # Who may be called, and how, depends on the tag: `tree` decides.
            return value
        if kind in {"path", "data"}:
            return self._path(kind, value)
        if kind in {"text", "number"}:
            raise self._refused("prints no value but calls a helper of that name", "write the text without braces")
        if kind == "open":
            raise self._refused("calls what another call answers", "name the helper")
        raise self._unknown()

    def _value(self, found: re.Match[str]) -> str:
        kind, value = found.lastgroup or "", found[found.lastgroup or 0]
        if kind == "open":
            return self._lookup()
        if kind == "text":
            if " as |" in value:
                raise self._refused(f"holds {value}, block parameters to some engines", "put the text into the data")
            return value
        if kind == "number":
            if not _NUMBER.fullmatch(value):
                raise self._refused(f"holds {value}", "at most 12 digits and 4 decimals")
            return value
        if kind == "path" and value in {"true", "false"}:
            return value
        if kind in {"path", "data"}:
            return self._path(kind, value)
        raise self._unknown()

    def _lookup(self) -> str:
        """``(lookup a b)``; no other helper answers a value, and none within another."""
        name = self._next()
        if name["path"] != "lookup":
            raise self._refused(f"calls ({name[0].strip()} …)", "SES has no helper but lookup that answers a value")
        values = [self._plain(), self._plain()]
        if self._next().lastgroup != "close":
            raise self._refused("gives lookup more than two values")
        return f"(lookup {' '.join(values)})"

    def _plain(self) -> str:
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

    def _path(self, kind: str, path: str) -> str:
        segments = _segments(path)
        for n, segment in enumerate(segments):
            bare = segment.strip("[]")
            if not bare.isascii() and bare.removeprefix("-").isdigit():
                # Python takes these for numbers, JavaScript for names.
                raise self._refused(f"has the name {bare}, a number to some engines", "use a name with letters")
            if not segment.startswith("[") and re.fullmatch(r"-?[0-9]+", bare):
                raise self._refused(f"has the index {bare} in a path", f"write it as [{bare}]")
            if bare in {"this", ".", ".."} and (n or segment != bare):
                raise self._refused(f"has {segment!r} within a path", "use it at the beginning only")
        if kind == "path" and len(segments) == 1 and segments[0].strip("[]") in RESERVED and path == segments[0]:
            bare = segments[0].strip("[]")
            raise self._refused(f"uses the reserved name {bare}", f"for a field write ./{bare}")
        self._paths.append(path)
        return path

    def _unknown(self) -> TemplateRefused:
        """Of the token that was read last."""
        word = "".join(self._body[self._began :].split()[:1])
        return self._refused(f"is not understood at {word!r}" if word else "is not complete")

    def _refused(self, what: str, instead: str = "") -> TemplateRefused:
        return TemplateRefused(self._tag.line, f"{self._tag.shown} {what}", instead)


def _segments(path: str) -> list[str]:
    """The names of a path, without what climbs and without a ``this`` or ``.`` that it begins with."""
    rest = re.sub(r"^@?(\.\./)*(\./|this[./])?", "", path)
    return re.findall(_SEGMENT, rest)
