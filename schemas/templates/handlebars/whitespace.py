"""Which whitespace around tags is printed, by npm's Handlebars.

``~`` takes all whitespace on its side away. A block's tag, a comment or a partial that has a line to itself takes the
line away. Both look at what was written, not at what an earlier tag has left of it. Some of the rules are oddities
(a chain of else-ifs whose closing tag looks at its second branch); they are kept, since SES's users see the same.
"""

from __future__ import annotations

from schemas.templates.handlebars.nodes import Block, Body, Node
from schemas.templates.handlebars.tags import Tag, Text

__all__ = ["settle"]

_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What JavaScript calls whitespace; Python's differs."""


def settle(body: Body, *, root: bool = True) -> None:
    """Shortens the texts of a template's tree."""
    for at, node in enumerate(body):
        if isinstance(node, Text):
            continue
        before, after = _neighbour(body, at - 1), _neighbour(body, at + 1)
        line_before, line_after = _line_ends_before(body, at, root), _line_begins_after(body, at, root)
        if isinstance(node, Block):
            first, last = _settle_block(node)
            node.alone = first and line_before, last and line_after
            _cut_all(node.opened, node.closed, before, after)
            if first and line_before:
                _cut_line_start(_first(node.body))
                _cut_line_end(before)
            if last and line_after:
                _cut_line_start(after)
                _cut_line_end(_last(node.body if node.other is None else node.other))
            continue
        _cut_all(node.tag, node.tag, before, after)
        if line_before and line_after and not (node.source and not node.partial):
            _cut_line_start(after)
            if _cut_line_end(before) and before is not None and node.partial:
                node.indent = before.written[len(before.written.rstrip(" \t")) :]


def _settle_block(block: Block) -> tuple[bool, bool]:
    """Settles what is within, and says whether its opening and its closing tag may have their lines to themselves."""
    settle(block.body, root=False)
    if block.other is not None:
        settle(block.other, root=False)
    # The branch that npm takes for the last of a chain.
    second = block.other
    if block.chained and second is not None:
        second = _chained(second).body
    opens = _line_begins_after(block.body, -1, root=False)
    last = block.body if second is None else second
    closes = _line_ends_before(last, len(last), root=False)
    if block.opened.after:
        _cut_start(_first(block.body))
    closed_before = block.closed is not None and block.closed.before
    if second is None or block.otherwise is None:
        if closed_before:
            _cut_end(_last(block.body))
        return opens, closes
    if block.otherwise.before:
        _cut_end(_last(block.body))
    if block.otherwise.after:
        _cut_start(_first(second))
    if closed_before:
        _cut_end(_last(second))
    if _line_ends_before(block.body, len(block.body), root=False) and _line_begins_after(second, -1, root=False):
        _cut_line_end(_last(block.body))
        _cut_line_start(_first(second))
    return opens, closes


def _chained(body: Body) -> Block:
    (block,) = body
    assert isinstance(block, Block)
    return block


# ---- looking at what was written ----


def _neighbour(body: Body, at: int) -> Text | None:
    node: Node | None = body[at] if 0 <= at < len(body) else None
    return node if isinstance(node, Text) else None


def _first(body: Body) -> Text | None:
    return _neighbour(body, 0)


def _last(body: Body) -> Text | None:
    return _neighbour(body, len(body) - 1)


def _line_ends_before(body: Body, at: int, root: bool) -> bool:
    if at == 0:
        return root
    if (text := _neighbour(body, at - 1)) is None:
        return False
    blank = text.written[len(text.written.rstrip(_SPACE)) :]
    return "\n" in blank or (root and at == 1 and blank == text.written)


def _line_begins_after(body: Body, at: int, root: bool) -> bool:
    if at + 1 == len(body):
        return root
    if (text := _neighbour(body, at + 1)) is None:
        return False
    blank = text.written[: len(text.written) - len(text.written.lstrip(_SPACE))]
    return "\n" in blank or (root and at + 2 == len(body) and blank == text.written)


# ---- shortening what is printed ----


def _cut_all(opened: Tag, closed: Tag | None, before: Text | None, after: Text | None) -> None:
    if closed is not None and closed.after:
        _cut_start(after)
    if opened.before:
        _cut_end(before)


def _cut_start(text: Text | None) -> None:
    if text is not None:
        _print_from_start(text, text.printed.lstrip(_SPACE))


def _cut_end(text: Text | None) -> None:
    if text is not None:
        _print_to_end(text, text.printed.rstrip(_SPACE))


def _cut_line_start(text: Text | None) -> None:
    """The rest of a tag's line, once."""
    if text is not None and not text.cut_at_start:
        _print_from_start(text, text.printed.lstrip(" \t").removeprefix("\r").removeprefix("\n"))


def _cut_line_end(text: Text | None) -> bool:
    """The blanks before a tag on its line, once; whether there were any."""
    if text is None or text.cut_at_end:
        return False
    _print_to_end(text, text.printed.rstrip(" \t"))
    return text.cut_at_end


def _print_from_start(text: Text, printed: str) -> None:
    text.cut_at_start = printed != text.printed
    text.printed = printed


def _print_to_end(text: Text, printed: str) -> None:
    text.cut_at_end = printed != text.printed
    text.printed = printed
