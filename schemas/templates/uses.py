"""What a template uses of its data, and in which frames: values, found by `scopes`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from schemas.templates.handlebars.grammar import Value
from schemas.templates.handlebars.nodes import Block
from schemas.templates.handlebars.problems import TemplateRefused
from schemas.templates.handlebars.tags import Tag
from schemas.templates.names import OPENED_TWIN, TWINS

__all__ = ["Frame", "Role", "Scopes", "Use"]


class Role(Enum):
    """What a template wants of a value."""

    PRINTED = "printed"
    RAW = "printed by three braces"
    TESTED = "tested"
    ENTERED = "entered"
    KEY = "a key to look up"
    GIVEN = "given to a partial"


@dataclass(eq=False, slots=True)
class Frame:
    """What names are looked up in. Those that are `same` are of one kind."""

    opened: Tag | None = None
    section: bool = False
    """whether data decides if the scope changes at all"""
    detached: bool = False
    """whether it goes into something that is not within the frame around it"""
    like_root: bool = False
    """whether it holds the data's own names"""
    entered: set[str] = field(default_factory=set)
    """its names that the template goes into"""
    _same: Frame | None = None
    _kind: str = ""
    _by: Tag | None = None

    def of(self) -> Frame:
        """The one that stands for all that are the same."""
        frame = self
        while frame._same is not None:
            frame = frame._same
        return frame

    def kind(self, default: str) -> str:
        """The twin whose values it holds."""
        return self.of()._kind or default

    def same(self, other: Frame) -> TemplateRefused | None:
        one, two = self.of(), other.of()
        if one is two:
            return None
        problem = two.demand(one._kind, one._by) if one._kind and one._by else None
        one._same = two
        return problem

    def demand(self, kind: str, by: Tag) -> TemplateRefused | None:
        frame = self.of()
        if frame._kind in {"", kind}:
            frame._kind, frame._by = kind, frame._by or by
            return None
        other = frame._by or by
        return TemplateRefused(
            by.place,
            f"{by.shown} and {other.shown} of line {other.place.line} want the same values once as they are and once "
            "escaped",
            "print all of a block's values with as many braces, or look one up from @root",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """A value that a template uses."""

    tag: Tag
    value: Value
    role: Role
    target: Frame | None = None
    """where it is looked up; nothing: in the data itself"""
    names: tuple[str, ...] = ()
    into: Frame | None = None
    """what it becomes, or is looked up for"""
    name: str = ""
    """of what is given by name"""
    closed: Tag | None = None
    """the closing tag that repeats it"""

    @property
    def goes_in(self) -> bool:
        return self.role is Role.ENTERED or len(self.names) > 1


@dataclass(slots=True)
class Scopes:
    """What one part of a template uses, and where."""

    html: bool
    uses: list[Use] = field(default_factory=list)
    wraps: list[tuple[Block, Frame]] = field(default_factory=list)
    """sections in the data itself, which want a frame of their own"""
    bare: list[tuple[Tag, int, Frame]] = field(default_factory=list)
    """partials that get the data itself without saying so, and where they would say it"""
    problems: list[TemplateRefused] = field(default_factory=list)

    @property
    def nested(self) -> frozenset[str]:
        """The data's own names that the template goes into."""
        found = set[str]()
        for use in self.uses:
            if use.target is None or use.target.like_root:
                into = use.role is Role.GIVEN and use.into is not None and use.name in use.into.entered
                if use.names and (use.goes_in or into):
                    found.add(use.names[0])
        return frozenset(found)

    @property
    def twins(self) -> frozenset[str]:
        """Which of the data's twins it names itself."""
        paths = (use.value.path for use in self.uses if use.target is None)
        return frozenset(path.names[0] for path in paths if path and path.names and path.names[0] in TWINS)

    @property
    def takes_all(self) -> bool:
        """Whether it names `OPENED_TWIN` as a whole."""
        return any(
            use.target is None and use.value.path and use.value.path.names == (OPENED_TWIN,) for use in self.uses
        )
