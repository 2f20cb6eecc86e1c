"""A template's tree: texts, leaves and blocks."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.templates.handlebars.tags import Tag, Text

__all__ = ["Block", "Body", "Leaf", "Node"]

_SCOPES = {"each", "with"}


@dataclass(slots=True)
class Leaf:
    """A value, a comment or the use of a partial."""

    tag: Tag
    source: str
    """the tag in the engine's spelling; empty for a comment"""
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
    body: Body = field(default_factory=list)
    other: Body | None = None
    chained: bool = False
    otherwise: Tag | None = None
    closed: Tag | None = None
    """As npm's Handlebars has it, for the whitespace: that of a chained block may be the tag that began it."""

    @property
    def inline(self) -> str:
        """The name of the partial that it defines."""
        return self.source.split('"')[1] if self.source.startswith("#*") else ""

    @property
    def scopes(self) -> bool:
        return self.name in _SCOPES


Node = Text | Leaf | Block
Body = list[Node]
