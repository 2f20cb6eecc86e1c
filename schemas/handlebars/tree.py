"""Tags put together into blocks: what is open is closed, by its name, and every name is used where it means something."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.handlebars.grammar import RESERVED, Call, call, partial_name
from schemas.handlebars.problems import TemplateRefused
from schemas.handlebars.tags import Tag, Text

__all__ = ["DEPTH_MAX", "Block", "Body", "Leaf", "Node", "parse"]

DEPTH_MAX = 40
"""Blocks within blocks; a branch of an if counts as one."""

_TAKES_ONE = {"if", "unless", "each", "with"}
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


def parse(parts: Iterable[Text | Tag]) -> Body:
    """Raises `TemplateRefused`."""
    builder = _Builder()
    for part in parts:
        builder.take(part)
    return builder.end()


class _Builder:
    """The mutable state is the open blocks, outermost first, and the partials there are so far."""

    def __init__(self) -> None:
        self._root: Body = []
        self._open: list[Block] = []
        self._partials: set[str] = set()

    def take(self, part: Text | Tag) -> None:
        if isinstance(part, Text):
            self._here.append(part)
        elif part.raw:
            self._value(part, part.body)
        elif part.body.startswith("!"):
            self._here.append(Leaf(part, ""))
        elif part.body.startswith("#"):
            self._block(part)
        elif part.body.startswith("^"):
            self._inverted(part)
        elif part.body.startswith("/"):
            self._close(part)
        elif part.body.startswith(">"):
            self._partial(part)
        elif part.body.startswith("*"):
            raise TemplateRefused(part.line, f"{part.shown} is a decorator")
        elif re.match(r"\s*else(?:\s|$)", part.body):
            self._else(part)
        else:
            self._value(part, part.body.removeprefix("&"))

    def end(self) -> Body:
        if self._open:
            block = self._outermost_of_chain()
            raise TemplateRefused(block.opened.line, f"{block.opened.shown} is not closed", f"add {{{{/{block.name}}}}}")
        return self._root

    @property
    def _here(self) -> Body:
        if not self._open:
            return self._root
        block = self._open[-1]
        return block.body if block.other is None else block.other

    def _outermost_of_chain(self) -> Block:
        at = len(self._open) - 1
        while at and self._open[at - 1].chained:
            at -= 1
        return self._open[at]

    # ---- values and partials ----

    def _value(self, tag: Tag, body: str) -> None:
        said = call(tag, body)
        self._check_paths(tag, said)
        if said.params or said.named:
            raise TemplateRefused(tag.line, f"{tag.shown} names values", "only {{> partial}} and if take named values")
        if said.name == "lookup" and len(said.arguments) == 2 or said.name == "log":
            self._here.append(Leaf(tag, said.source))
            return
        if said.name in RESERVED:
            raise TemplateRefused(tag.line, f"{tag.shown} uses the reserved name {said.name}", f"for a field write ./{said.name}")
        if said.arguments:
            raise TemplateRefused(tag.line, f"{tag.shown} calls the helper {said.name}", "SES has if, unless, each, with, lookup")
        self._here.append(Leaf(tag, said.source, path=said.name))

    def _partial(self, tag: Tag) -> None:
        name, rest = partial_name(tag, tag.body[1:])
        if name not in self._partials:
            raise TemplateRefused(
                tag.line,
                f"{tag.shown}: there is no partial {name} before this line",
                f'write {{{{#*inline "{name}"}}}}…{{{{/inline}}}} above, in this file; none may use itself',
            )
        # A reader wants a helper's name first; a partial's may be a reserved one's beginning.
        said = call(tag, f"partial {rest}")
        self._check_paths(tag, said)
        if len(said.arguments) > 1 or said.params or any(not _is_path(value) for value in said.arguments):
            raise TemplateRefused(tag.line, f"{tag.shown} is given more than a path and named values")
        self._here.append(Leaf(tag, f"> {name}{said.source.removeprefix('partial')}", partial=name))

    # ---- blocks ----

    def _block(self, tag: Tag) -> None:
        if tag.body.startswith("#*"):
            self._inline(tag)
            return
        if tag.body.startswith("#>"):
            raise TemplateRefused(tag.line, f"{tag.shown} is a partial with a block", "use {{> name}}")
        said = call(tag, tag.body[1:])
        self._check_paths(tag, said)
        _check_head(tag, said)
        self._push(Block(tag, said.name, f"#{said.source}"))

    def _inverted(self, tag: Tag) -> None:
        if not tag.body[1:].strip():
            raise TemplateRefused(tag.line, f"{tag.shown} is not the same everywhere", "write {{else}}")
        said = call(tag, tag.body[1:])
        self._check_paths(tag, said)
        if said.name in RESERVED or said.arguments or said.named or said.params:
            raise TemplateRefused(tag.line, f"{tag.shown} is not the same everywhere", "write {{#unless …}}")
        _check_head(tag, said)
        self._push(Block(tag, said.name, f"^{said.source}"))

    def _inline(self, tag: Tag) -> None:
        word, _, rest = tag.body[2:].strip().partition(" ")
        if word != "inline":
            raise TemplateRefused(tag.line, f"{tag.shown} is a decorator", 'only {{#*inline "name"}} is known')
        name, more = partial_name(tag, rest)
        if more.strip():
            raise TemplateRefused(tag.line, f"{tag.shown} says more than a name")
        if self._open:
            raise TemplateRefused(tag.line, f"{tag.shown} stands within a block", "define partials outside of blocks")
        if name in self._partials:
            raise TemplateRefused(tag.line, f"{tag.shown}: there is a partial {name} already", "give it another name")
        self._push(Block(tag, "inline", f'#*inline "{name}"'))

    def _push(self, block: Block) -> None:
        if len(self._open) >= DEPTH_MAX:
            raise TemplateRefused(block.opened.line, f"{block.opened.shown} is within {DEPTH_MAX} blocks or branches")
        self._here.append(block)
        self._open.append(block)

    def _else(self, tag: Tag) -> None:
        if not self._open:
            raise TemplateRefused(tag.line, f"{tag.shown} stands outside of a block")
        block = self._open[-1]
        if block.other is not None:
            raise TemplateRefused(tag.line, f"{tag.shown} comes after {{{{else}}}}", "a block has one")
        if block.inline:
            raise TemplateRefused(tag.line, f"{tag.shown} stands in a partial, outside of a block")
        if block.source.startswith("^"):
            raise TemplateRefused(tag.line, f"{tag.shown} belongs to {block.opened.shown}", f"write {{{{#{block.name}}}}}")
        block.other, block.otherwise = [], tag
        if condition := tag.body.strip().removeprefix("else").strip():
            said = call(tag, condition)
            self._check_paths(tag, said)
            if said.name not in {"if", "unless"}:
                raise TemplateRefused(tag.line, f"{tag.shown} is not the same everywhere", "write {{else}} and a block in it")
            _check_head(tag, said)
            block.chained = True
            self._push(Block(tag, said.name, f"#{said.source}"))

    def _close(self, tag: Tag) -> None:
        name = tag.body[1:].strip()
        if not self._open:
            raise TemplateRefused(tag.line, f"{tag.shown} closes nothing")
        first = self._outermost_of_chain()
        if name != first.name:
            raise TemplateRefused(
                tag.line, f"{tag.shown} does not close {first.opened.shown} of line {first.opened.line}"
            )
        self._end_chain(first, tag)
        if first.inline:
            self._partials.add(first.inline)

    def _end_chain(self, first: Block, tag: Tag) -> None:
        """npm's parser gives a chain's closing tag to its first two blocks, and to every later one the tag that began
        the block before it's other branch: only whitespace shows it."""
        chain = self._open[self._open.index(first) :]
        for n, block in enumerate(chain):
            block.closed = tag if n < 2 else chain[n - 1].otherwise
        del self._open[-len(chain) :]

    # ---- where a name means something ----

    def _check_paths(self, tag: Tag, said: Call) -> None:
        inside = any(block.scopes or block.inline or block.name not in RESERVED for block in self._open)
        for path in said.paths:
            names = re.split(r"[./]", path.replace("[", "").replace("]", ""))
            if "length" in names and (inside or path != "length"):
                raise TemplateRefused(
                    tag.line, f"{tag.shown} reads length, which lists and texts have too", "put the number into the data"
                )
            if climbed := path.count("../") + path.endswith(".."):
                self._check_climb(tag, 0 if path.startswith("@") else climbed)

    def _check_climb(self, tag: Tag, climbed: int) -> None:
        """``..`` may leave neither a partial nor a block that did not change what ``this`` is."""
        inner = self._open
        for at, block in enumerate(self._open):
            if block.inline:
                inner = self._open[at + 1 :]
                if climbed > sum(one.scopes for one in inner):
                    raise TemplateRefused(tag.line, f"{tag.shown} climbs out of its partial", "use @root, or give it a value")
        for block in inner:
            subject = block.source.split()[1:2] if block.scopes else [block.name]
            if subject and (subject[0] in {"this", ".", "./", "@root"} or subject[0].endswith("..")):
                raise TemplateRefused(
                    tag.line, f"{tag.shown} climbs out of {block.opened.shown}, which stays where it is", "use @root"
                )


def _check_head(tag: Tag, said: Call) -> None:
    """A block's opening: a helper with its value, or a path."""
    known = said.name in _TAKES_ONE
    if said.name in RESERVED and not known:
        raise TemplateRefused(tag.line, f"{tag.shown} uses the reserved name {said.name}", f"for a field write ./{said.name}")
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
    if said.name in _SCOPES and not (_is_path(said.arguments[0]) or said.arguments[0].startswith("(")):
        raise TemplateRefused(tag.line, f"{tag.shown} takes a path")


def _is_path(value: str) -> bool:
    return value not in {"true", "false"} and not re.match(r"[\"'(]|-?\d", value)
