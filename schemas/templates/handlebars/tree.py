"""Tags put together into blocks: what is open is closed, by its name; a branch and a partial stand where they may."""

from __future__ import annotations

import re
from collections.abc import Iterable

from schemas.templates.handlebars.grammar import RESERVED, call, partial_name
from schemas.templates.handlebars.nodes import Block, Body, Leaf
from schemas.templates.handlebars.problems import TemplateRefused
from schemas.templates.handlebars.rules import check_head, check_paths
from schemas.templates.handlebars.tags import Tag, Text

__all__ = ["DEPTH_MAX", "parse"]

DEPTH_MAX = 40
"""Blocks within blocks; a branch of an if counts as one."""
_ELSE = re.compile(r"\s*else(?:\s|$)")
_INLINE = re.compile(r"#\*\s*inline(?=\s)")


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
            self._value(part, 0)
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
            raise TemplateRefused(part.place, f"{part.shown} is a decorator")
        elif found := _ELSE.match(part.body):
            self._else(part, found.end())
        else:
            self._value(part, part.body.startswith("&"))

    def end(self) -> Body:
        if self._open:
            block = self._outermost_of_chain()
            raise TemplateRefused(
                block.opened.place, f"{block.opened.shown} is not closed", f"add {{{{/{block.name}}}}}"
            )
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

    def _value(self, tag: Tag, begins: int) -> None:
        said = call(tag, begins)
        check_paths(tag, said, self._open)
        if said.params or said.named:
            raise TemplateRefused(tag.place, f"{tag.shown} names values", "only {{> partial}} and if take named values")
        if (said.name == "lookup" and len(said.arguments) == 2) or said.name == "log":
            self._here.append(Leaf(tag, said.source, said))
            return
        if said.name == "lookup":
            raise TemplateRefused(tag.place, f"{tag.shown} does not give lookup two values", "{{lookup list key}}")
        if said.name in RESERVED:
            raise TemplateRefused(
                tag.place, f"{tag.shown} uses the reserved name {said.name}", f"for a field write ./{said.name}"
            )
        if said.arguments:
            raise TemplateRefused(
                tag.place, f"{tag.shown} calls the helper {said.name}", "SES has if, unless, each, with, lookup"
            )
        self._here.append(Leaf(tag, said.source, said, path=said.name))

    def _partial(self, tag: Tag) -> None:
        name, ends = partial_name(tag, 1)
        if name not in self._partials:
            raise TemplateRefused(
                tag.place,
                f"{tag.shown}: there is no partial {name} before this line",
                f'write {{{{#*inline "{name}"}}}}…{{{{/inline}}}} above, in this file; none may use itself',
            )
        said = call(tag, ends, "partial")
        check_paths(tag, said, self._open)
        if len(said.arguments) > 1 or said.params or any(value.kind != "path" for value in said.arguments):
            raise TemplateRefused(tag.place, f"{tag.shown} is given more than a path and named values")
        self._here.append(Leaf(tag, f"> {name}{said.source.removeprefix('partial')}", said, partial=name))

    # ---- blocks ----

    def _block(self, tag: Tag) -> None:
        if tag.body.startswith("#*"):
            self._inline(tag)
            return
        if tag.body.startswith("#>"):
            raise TemplateRefused(tag.place, f"{tag.shown} is a partial with a block", "use {{> name}}")
        said = call(tag, 1)
        check_paths(tag, said, self._open)
        check_head(tag, said)
        self._push(Block(tag, said.name, f"#{said.source}", said))

    def _inverted(self, tag: Tag) -> None:
        if not tag.body[1:].strip():
            raise TemplateRefused(tag.place, f"{tag.shown} is not the same everywhere", "write {{else}}")
        said = call(tag, 1)
        check_paths(tag, said, self._open)
        if said.name in RESERVED or said.arguments or said.named or said.params:
            raise TemplateRefused(tag.place, f"{tag.shown} is not the same everywhere", "write {{#unless …}}")
        check_head(tag, said)
        self._push(Block(tag, said.name, f"^{said.source}", said))

    def _inline(self, tag: Tag) -> None:
        word = _INLINE.match(tag.body)
        if word is None:
            raise TemplateRefused(tag.place, f"{tag.shown} is a decorator", 'only {{#*inline "name"}} is known')
        name, ends = partial_name(tag, word.end())
        if tag.body[ends:].strip():
            raise TemplateRefused(tag.place, f"{tag.shown} says more than a name")
        if self._open:
            raise TemplateRefused(tag.place, f"{tag.shown} stands within a block", "define partials outside of blocks")
        if name in self._partials:
            raise TemplateRefused(tag.place, f"{tag.shown}: there is a partial {name} already", "give it another name")
        self._push(Block(tag, "inline", f'#*inline "{name}"'))

    def _push(self, block: Block) -> None:
        if len(self._open) >= DEPTH_MAX:
            raise TemplateRefused(block.opened.place, f"{block.opened.shown} is within {DEPTH_MAX} blocks or branches")
        self._here.append(block)
        self._open.append(block)

    def _else(self, tag: Tag, ends: int) -> None:
        if not self._open:
            raise TemplateRefused(tag.place, f"{tag.shown} stands outside of a block")
        block = self._open[-1]
        if block.other is not None:
            raise TemplateRefused(tag.place, f"{tag.shown} comes after {{{{else}}}}", "a block has one")
        if block.inline:
            raise TemplateRefused(tag.place, f"{tag.shown} stands in a partial, outside of a block")
        if block.source.startswith("^"):
            raise TemplateRefused(
                tag.place, f"{tag.shown} belongs to {block.opened.shown}", f"write {{{{#{block.name}}}}}"
            )
        block.other, block.otherwise = [], tag
        if tag.body[ends:].strip():
            said = call(tag, ends)
            check_paths(tag, said, self._open)
            if said.name not in {"if", "unless"}:
                raise TemplateRefused(
                    tag.place, f"{tag.shown} is not the same everywhere", "write {{else}} and a block in it"
                )
            check_head(tag, said)
            block.chained = True
            self._push(Block(tag, said.name, f"#{said.source}", said))

    def _close(self, tag: Tag) -> None:
        name = tag.body[1:].strip()
        if not self._open:
            raise TemplateRefused(tag.place, f"{tag.shown} closes nothing")
        first = self._outermost_of_chain()
        if name != first.name:
            raise TemplateRefused(
                tag.place, f"{tag.shown} does not close {first.opened.shown} of line {first.opened.place.line}"
            )
        self._end_chain(first, tag)
        if first.inline:
            self._partials.add(first.inline)

    def _end_chain(self, first: Block, tag: Tag) -> None:
        """Gives each block of a chain its closing tag, as npm's parser does.

        The first two get the real one, every later block the tag that began it: only whitespace shows it.
        """
        chain = self._open[self._open.index(first) :]
        for n, block in enumerate(chain):
            block.closed = tag if n < 2 else block.opened
        del self._open[-len(chain) :]
