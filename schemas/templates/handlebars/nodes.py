"""A template's tree: texts, leaves and blocks."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.templates.handlebars.grammar import Call, Value
from schemas.templates.handlebars.tags import Tag, Text

__all__ = ["Block", "Body", "Leaf", "Node"]

_SCOPES = {"each", "with"}


@dataclass(slots=True)
class Leaf:
    """A value, a comment or the use of a partial."""

    tag: Tag
    source: str
    """the tag in the engine's spelling; empty for a comment"""
    said: Call | None = None
    partial: str = ""
    path: str = ""
    """the path that is printed, of a plain value"""
    indent: str = ""
    """what stands before a partial that has its line to itself"""


@dataclass(slots=True)
class Block:
    """A block with its branches. ``{{else if}}`` is a block alone in the other branch, `chained`."""

    opened: Tag
    name: str
    source: str
    said: Call | None = None
    """nothing for a partial's definition"""
    body: Body = field(default_factory=list)
    other: Body | None = None
    chained: bool = False
    otherwise: Tag | None = None
    closed: Tag | None = None
    """As npm's Handlebars has it, for the whitespace: that of a chained block may be the tag that began it."""
    alone: tuple[bool, bool] = (False, False)
    """whether its opening and its closing tag have their lines to themselves; known once whitespace is settled"""

    @property
    def inline(self) -> str:
        """The name of the partial that it defines."""
        return self.source.split('"')[1] if self.source.startswith("#*") else ""

    @property
    def inverted(self) -> bool:
        return self.source.startswith("^")

    @property
    def section(self) -> bool:
        """``{{#x}}``: its scope is x, or stays what it is where x is true."""
        return self.head is not None and not self.inverted

    @property
    def head(self) -> Value | None:
        """The path that stands where a helper's name could."""
        return self.said.head if self.said else None

    @property
    def scopes(self) -> bool:
        return self.name in _SCOPES


Node = Text | Leaf | Block
Body = list[Node]
