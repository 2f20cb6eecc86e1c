"""The one place that knows the engine (dotpromptz-handlebars).

It gets the template in a spelling of its own that leaves it nothing to decide: whitespace is settled already, and an
empty comment on both sides of each tag keeps the engine from doing so again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from schemas.templates.handlebars.nodes import Block, Body, Leaf
from schemas.templates.handlebars.plain import Plain, fill_in, plain_form
from schemas.templates.handlebars.problems import NotFilledIn, TemplateRefused
from schemas.templates.handlebars.tags import Text, pieces
from schemas.templates.handlebars.tree import parse
from schemas.templates.handlebars.values import Budget, adapted, look_up
from schemas.templates.handlebars.whitespace import settle

__all__ = ["check", "render", "tree_of"]

_TURN_MAX = 5_000_000
_PARTIALS_MAX = 1_000
_INDENT = "mailonce-indent"


@dataclass(frozen=True, slots=True)
class _Spelled:
    """A template for the engine."""

    source: str
    plain: bool
    """whether it has neither blocks nor partials"""
    characters: int
    """its own that it can print in one turn, with its partials"""
    simple: Plain | None
    """for what needs no engine"""


def check(template: str) -> None:
    """Raises `TemplateRefused` for what is broken or not the same everywhere."""
    _spelled(template)


def tree_of(template: str) -> Body:
    """Its tree, whitespace settled. Raises as `check` does, but for what only filling in cannot do."""
    body = parse(pieces(template))
    settle(body)
    return body


def render(template: str, data: dict[str, Any]) -> str:
    """The template filled in, unescaped as SES does.

    Raises ``KeyError`` naming a variable that the data lacks, if the template has no blocks (within one, what is
    missing is empty), `TemplateRefused` as `check` does, and `NotFilledIn` for what would not end.
    """
    spelled = _read_once(template)
    if spelled.simple is not None and (printed := fill_in(spelled.simple, data)) is not None:
        return printed
    from dotpromptz_handlebars import StrictModeError

    budget = Budget(spelled.characters)
    try:
        budget.print(spelled.characters)
        return _compiled(template)(adapted(data, budget, nulls=not spelled.plain))
    except StrictModeError as missing:
        raise KeyError(missing.path) from None
    except RecursionError:
        raise NotFilledIn("its blocks or its data are too deep") from None
    except (ValueError, TypeError) as error:
        raise NotFilledIn(f"the engine cannot fill it in: {error}") from error


@lru_cache(maxsize=1024)
def _read_once(template: str) -> _Spelled:
    return _spelled(template)


@lru_cache(maxsize=1024)
def _compiled(template: str) -> Callable[[Any], str]:
    spelled = _read_once(template)
    compiled: Callable[[Any], str] = _engine(strict=spelled.plain).compile(spelled.source)
    return compiled


@cache
def _engine(*, strict: bool) -> Any:
    from dotpromptz_handlebars import Handlebars, SafeString

    engine = Handlebars(escape_html=False, strict=strict, max_depth=100)
    engine.register_helper("lookup", lambda values, _: look_up(*values))
    # The engine's own writes to the standard output.
    engine.register_helper("log", lambda _values, _: "")
    engine.register_helper(_INDENT, lambda values, options: SafeString(_indented(str(options.fn()), values[0])))
    return engine


def _indented(text: str, indent: str) -> str:
    lines = text.split("\n")
    return "\n".join(indent + line if line or n + 1 < len(lines) else line for n, line in enumerate(lines))


def _spelled(template: str) -> _Spelled:
    body = tree_of(template)
    plain = not any(isinstance(node, Block) or (isinstance(node, Leaf) and node.partial) for node in body)
    return _Spelled("".join(_spell(body)), plain, _costs(body, {})[0], plain_form(body))


def _spell(body: Body) -> list[str]:
    """The engine's source of a settled tree."""
    found: list[str] = []
    for at, node in enumerate(body):
        if isinstance(node, Text):
            if node.printed.endswith(("\\", "{")) and at + 1 < len(body):
                raise TemplateRefused(node.place, f"{node.printed[-1]} stands right before a tag", "remove the ~")
            found.append(node.printed)
        elif isinstance(node, Block):
            found += _spell_block(node)
        elif node.indent:
            found += [_tag(f'#{_INDENT} "{node.indent}"'), _tag(node.source), _tag(f"/{_INDENT}")]
        elif node.source:
            found.append(_tag(node.source))
    return found


def _spell_block(block: Block) -> list[str]:
    found = [_tag(block.source), *_spell(block.body)]
    if block.other is not None:
        found += [_tag("else"), *_spell(block.other)]
    return [*found, _tag(f"/{block.name}")]


def _tag(source: str) -> str:
    return f"{{{{!}}}}{{{{{source}}}}}{{{{!}}}}"


def _costs(body: Body, partials: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """The characters that a template has with its partials, and how many those are. Notes what it defines."""
    characters = uses = 0
    for node in body:
        if isinstance(node, Text):
            characters += len(node.printed)
            continue
        if isinstance(node, Block):
            cost = _costs([*node.body, *(node.other or [])], partials)
            if node.inline:
                partials[node.inline] = cost
                continue
            place = node.opened.place
        else:
            cost = partials[node.partial] if node.partial else (0, 0)
            cost = (cost[0] + len(node.indent) * cost[0], cost[1] + bool(node.partial))
            place = node.tag.place
        characters, uses = characters + cost[0], uses + cost[1]
        if characters > _TURN_MAX or uses > _PARTIALS_MAX:
            raise TemplateRefused(place, "its partials, and theirs, make it too large", "use fewer of them")
    return characters, uses
