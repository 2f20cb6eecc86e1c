"""Where a name means the same everywhere: which helpers there are, and which paths engines go alike."""

from __future__ import annotations

from schemas.templates.handlebars.grammar import RESERVED, Call
from schemas.templates.handlebars.nodes import Block
from schemas.templates.handlebars.problems import TemplateRefused
from schemas.templates.handlebars.tags import Tag
from schemas.templates.names import TWINS

__all__ = ["check_head", "check_paths"]

_TAKES_ONE = {"if", "unless", "each", "with"}
_SCOPES = {"each", "with"}
_OWN_LENGTH = {"length", *(f"{twin}.length" for twin in TWINS)}
"""A field of that name."""


def check_paths(tag: Tag, said: Call, opened: list[Block]) -> None:
    """`opened` are the blocks around the tag, outermost first."""
    inside = any(block.scopes or block.inline or block.name not in RESERVED for block in opened)
    for path in said.paths:
        if "length" in path.names and (inside or path.tail not in _OWN_LENGTH):
            raise TemplateRefused(
                tag.place,
                f"{tag.shown} reads length, which lists and texts have too",
                "put the number into the data",
            )
        if path.climbs:
            _check_climb(tag, 0 if path.data else path.climbs, opened)


def _check_climb(tag: Tag, climbed: int, opened: list[Block]) -> None:
    """``..`` may leave neither a partial nor a block that did not change what ``this`` is."""
    inner = opened
    for at, block in enumerate(opened):
        if block.inline:
            inner = opened[at + 1 :]
            if climbed > sum(one.scopes for one in inner):
                raise TemplateRefused(
                    tag.place, f"{tag.shown} climbs out of its partial", "use @root, or give it a value"
                )
    for block in inner:
        (subject,) = block.said.arguments if block.scopes and block.said else (block.head,)
        if subject and subject.path and not subject.path.names and subject.path.data in {"", "root"}:
            raise TemplateRefused(
                tag.place, f"{tag.shown} climbs out of {block.opened.shown}, which stays where it is", "use @root"
            )


def check_head(tag: Tag, said: Call) -> None:
    """A block's opening: a helper with its value, or a path."""
    known = said.name in _TAKES_ONE
    if said.name in RESERVED and not known:
        raise TemplateRefused(
            tag.place, f"{tag.shown} uses the reserved name {said.name}", f"for a field write ./{said.name}"
        )
    if not known and said.arguments:
        raise TemplateRefused(tag.place, f"{tag.shown} calls the helper {said.name}", "SES has if, unless, each, with")
    if not known and ("[" in said.name or said.params):
        raise TemplateRefused(tag.place, f"{tag.shown} is not the same everywhere", "write {{#with …}} or {{#each …}}")
    if known and len(said.arguments) != 1:
        raise TemplateRefused(tag.place, f"{tag.shown} takes exactly one value")
    named = [(name, value.source) for name, value in said.named]
    if named and not (said.name in {"if", "unless"} and named == [("includeZero", "true")]):
        raise TemplateRefused(tag.place, f"{tag.shown} names a value", "only includeZero=true is known")
    if said.params and (said.name not in _SCOPES or (said.name == "with" and len(said.params) > 1)):
        raise TemplateRefused(tag.place, f"{tag.shown} has block parameters", "each has two, with has one")
    if said.name in _SCOPES and said.arguments[0].kind not in {"path", "lookup"}:
        raise TemplateRefused(tag.place, f"{tag.shown} takes a path")
