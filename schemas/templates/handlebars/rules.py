"""Where a name means the same everywhere: which helpers there are, and which paths engines go alike."""

from __future__ import annotations

import re

from schemas.templates.handlebars.grammar import RESERVED, Call
from schemas.templates.handlebars.nodes import Block
from schemas.templates.handlebars.problems import TemplateRefused
from schemas.templates.handlebars.tags import Tag
from schemas.templates.template import HTML_TWIN

__all__ = ["check_head", "check_paths", "is_path"]

_TAKES_ONE = {"if", "unless", "each", "with"}
_SCOPES = {"each", "with"}


def check_paths(tag: Tag, said: Call, opened: list[Block]) -> None:
    """`opened` are the blocks around the tag, outermost first."""
    inside = any(block.scopes or block.inline or block.name not in RESERVED for block in opened)
    for path in said.paths:
        names = re.split(r"[./]", path.replace("[", "").replace("]", ""))
        if "length" in names and (inside or path.removeprefix(f"{HTML_TWIN}.") != "length"):
            raise TemplateRefused(
                tag.line,
                f"{tag.shown} reads length, which lists and texts have too",
                "put the number into the data",
            )
        if climbed := path.count("../") + path.endswith(".."):
            _check_climb(tag, 0 if path.startswith("@") else climbed, opened)


def _check_climb(tag: Tag, climbed: int, opened: list[Block]) -> None:
    """``..`` may leave neither a partial nor a block that did not change what ``this`` is."""
    inner = opened
    for at, block in enumerate(opened):
        if block.inline:
            inner = opened[at + 1 :]
            if climbed > sum(one.scopes for one in inner):
                raise TemplateRefused(
                    tag.line, f"{tag.shown} climbs out of its partial", "use @root, or give it a value"
                )
    for block in inner:
        subject = block.source.split()[1:2] if block.scopes else [block.name]
        if subject and (subject[0] in {"this", ".", "./", "@root"} or subject[0].endswith("..")):
            raise TemplateRefused(
                tag.line, f"{tag.shown} climbs out of {block.opened.shown}, which stays where it is", "use @root"
            )


def check_head(tag: Tag, said: Call) -> None:
    """A block's opening: a helper with its value, or a path."""
    known = said.name in _TAKES_ONE
    if said.name in RESERVED and not known:
        raise TemplateRefused(
            tag.line, f"{tag.shown} uses the reserved name {said.name}", f"for a field write ./{said.name}"
        )
    if not known and said.arguments:
        raise TemplateRefused(tag.line, f"{tag.shown} calls the helper {said.name}", "SES has if, unless, each, with")
    if not known and ("[" in said.name or said.params):
        raise TemplateRefused(tag.line, f"{tag.shown} is not the same everywhere", "write {{#with …}} or {{#each …}}")
    if known and len(said.arguments) != 1:
        raise TemplateRefused(tag.line, f"{tag.shown} takes exactly one value")
    if said.named and not (said.name in {"if", "unless"} and said.named == (("includeZero", "true"),)):
        raise TemplateRefused(tag.line, f"{tag.shown} names a value", "only includeZero=true is known")
    if said.params and (said.name not in _SCOPES or (said.name == "with" and len(said.params) > 1)):
        raise TemplateRefused(tag.line, f"{tag.shown} has block parameters", "each has two, with has one")
    if said.name in _SCOPES and not (is_path(said.arguments[0]) or said.arguments[0].startswith("(")):
        raise TemplateRefused(tag.line, f"{tag.shown} takes a path")


def is_path(value: str) -> bool:
    return value not in {"true", "false"} and not re.match(r"[\"'(]|-?\d", value)
