"""A template gone through with a mail's data: the branches it takes, what it prints there, and what it does not find.

This fills nothing in. It decides before a call what SES would only tell after it, so it follows Handlebars in what is
looked up where; what is printed how is `engine`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from schemas.templates.handlebars.grammar import Call, Value
from schemas.templates.handlebars.nodes import Block, Body, Leaf
from schemas.templates.handlebars.paths import Path
from schemas.templates.handlebars.problems import NotFilledIn, Place
from schemas.templates.handlebars.tags import Tag, Text
from schemas.templates.handlebars.values import STEPS_MAX, in_order, look_up

__all__ = ["Lack", "Walk", "member"]


@dataclass(frozen=True, slots=True)
class Lack:
    """What a template needs and the data lacks."""

    path: str
    place: Place
    what: str = ""
    """what it had to be, where it is there but something else"""


@dataclass(frozen=True, slots=True)
class _Scope:
    """What names mean at a place: innermost first."""

    contexts: tuple[Any, ...]
    data: tuple[dict[str, Any], ...] = ()
    """``@index`` and the like of the loops around"""
    params: dict[str, Any] = field(default_factory=dict)
    within: bool = False
    """whether a block is around: what it goes through may be absent there"""

    def into(self, context: Any, data: dict[str, Any] | None = None, params: dict[str, Any] | None = None) -> _Scope:
        # Handlebars leaves no scope for the same scope.
        same = not isinstance(context, dict | list) and self.contexts and self.contexts[0] == context
        contexts = self.contexts if same else (context, *self.contexts)
        return _Scope(contexts, (data, *self.data) if data else self.data, {**self.params, **(params or {})}, True)


class Walk:
    """The mutable state is what was found, and how many steps are left."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._root = data
        self._steps = STEPS_MAX
        self._partials: dict[str, Body] = {}
        self.printed: list[tuple[Tag | Text, Any]] = []
        """texts, and tags with their values, in order"""
        self.lacks: list[Lack] = []

    def go(self, body: Body) -> Walk:
        """Raises `NotFilledIn` for what would not end."""
        self._body(body, _Scope((self._root,)))
        return self

    def _body(self, body: Body, scope: _Scope) -> None:
        self._steps -= len(body)
        if self._steps < 0:
            raise NotFilledIn(f"its blocks take more than {STEPS_MAX} steps")
        for node in body:
            if isinstance(node, Text):
                self.printed.append((node, node.printed))
            elif isinstance(node, Leaf):
                self._leaf(node, scope)
            else:
                self._block(node, scope)

    # ---- values ----

    def _leaf(self, leaf: Leaf, scope: _Scope) -> None:
        said = leaf.said
        if said is None or said.name == "log":
            return
        if leaf.partial:
            self._partial(leaf.partial, said, scope)
            return
        if said.head is None:
            where, what = said.arguments
            if self._value(where, scope) is None:
                self._lacks(where, leaf.tag)
            value = look_up(self._value(where, scope), self._value(what, scope))
        elif (value := self._value(said.head, scope)) is None:
            self._lacks(said.head, leaf.tag)
        self.printed.append((leaf.tag, value))

    def _lacks(self, value: Value, tag: Tag, what: str = "") -> None:
        self.lacks.append(Lack(value.source, tag.place, what))

    def _value(self, value: Value, scope: _Scope) -> Any:
        if value.path:
            return self._found(value.path, scope)
        if value.inner:
            return look_up(*(self._value(one, scope) for one in value.inner))
        if value.kind == "text":
            return value.source[1:-1]
        return value.source == "true" if value.kind == "bool" else float(value.source)

    def _found(self, path: Path, scope: _Scope) -> Any:
        names: Iterable[str] = path.names
        found: Any
        if path.data == "root":
            found = self._root
        elif path.data:
            found = scope.data[path.climbs].get(path.data) if path.climbs < len(scope.data) else None
        elif not path.climbs and not path.scoped and path.names and path.names[0] in scope.params:
            found, names = scope.params[path.names[0]], path.names[1:]
        else:
            found = scope.contexts[path.climbs] if path.climbs < len(scope.contexts) else None
        for name in names:
            found = member(found, name)
        return found

    # ---- blocks ----

    def _partial(self, name: str, said: Call, scope: _Scope) -> None:
        context = self._value(said.arguments[0], scope) if said.arguments else scope.contexts[0]
        if said.named:
            context = dict(context) if isinstance(context, dict) else {}
            context |= {key: self._value(value, scope) for key, value in said.named}
        self._body(self._partials[name], _Scope((context,), scope.data, {}, scope.within))

    def _block(self, block: Block, scope: _Scope) -> None:
        if block.inline:
            self._partials[block.inline] = block.body
            return
        said = block.said
        assert said is not None
        if block.section or block.inverted:
            self._section(block, self._value(said.head, scope) if said.head else None, scope)
            return
        (subject,) = said.arguments
        value = self._value(subject, scope)
        if block.name in {"if", "unless"}:
            taken = (bool(said.named) or value != 0 or isinstance(value, bool)) and not _empty(value)
            inner = _Scope(scope.contexts, scope.data, scope.params, True)
            self._body(block.body if taken == (block.name == "if") else block.other or [], inner)
            return
        if value is None and not scope.within:
            self._lacks(subject, block.opened)
        if block.name == "with":
            names = dict.fromkeys(said.params, value)
            self._taken(block, scope, None if _empty(value) else [scope.into(value, None, names)])
        else:
            if value and not isinstance(value, list | dict):
                self._lacks(subject, block.opened, "a list or an object")
            self._taken(block, scope, _turns(scope, value, said.params) if isinstance(value, list | dict) else None)

    def _section(self, block: Block, value: Any, scope: _Scope) -> None:
        scopes: list[_Scope] | None
        if value is None or value is False or value == []:
            scopes = None
        elif isinstance(value, list):
            scopes = _turns(scope, value, ())
        else:
            inner = _Scope(scope.contexts, scope.data, scope.params, True)
            scopes = [inner if value is True else scope.into(value)]
        if block.inverted:
            self._body(block.body if scopes is None else [], scope)
        else:
            self._taken(block, scope, scopes)

    def _taken(self, block: Block, scope: _Scope, scopes: list[_Scope] | None) -> None:
        """Its body in each of these scopes, or what stands behind ``{{else}}``."""
        if not scopes:
            self._body(block.other or [], _Scope(scope.contexts, scope.data, scope.params, True))
        for inner in scopes or []:
            self._body(block.body, inner)


def _turns(scope: _Scope, value: Any, params: tuple[str, ...]) -> list[_Scope]:
    members = [(n, one) for n, one in enumerate(value)] if isinstance(value, list) else in_order(value)
    turns = []
    for n, (key, one) in enumerate(members):
        data = {"key": key, "index": n, "first": n == 0, "last": n + 1 == len(members)}
        turns.append(scope.into(one, data, dict(zip(params, (one, key), strict=False))))
    return turns


def _empty(value: Any) -> bool:
    """As Handlebars has it: 0 is not, an object without members neither."""
    return value is None or value is False or value == "" or value == []


def member(value: Any, name: str) -> Any:
    """What a value has of that name; nothing for what has no members."""
    if isinstance(value, dict):
        return value.get(name)
    return look_up(value, name) if isinstance(value, list) else None
