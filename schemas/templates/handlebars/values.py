"""A mail's data as JavaScript prints it and goes through it, on a budget that ends what would not end.

The engine asks its values for their text and their members, so both are counted here: it has no limits of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from schemas.templates.handlebars.problems import NotFilledIn

__all__ = ["CHARACTERS_MAX", "STEPS_MAX", "Budget", "adapted", "in_order", "look_up", "scalar_text"]

STEPS_MAX = 100_000
"""Members that one mail's blocks go through."""
CHARACTERS_MAX = 50_000_000
"""Rather more than SES's largest message (40 MB)."""

_EXACT_MAX = 2**53
_INDEX_MAX = 2**32 - 1


class Budget:
    """What is left for one mail. `a_turn` is how many characters of its own the template has at most."""

    def __init__(self, a_turn: int) -> None:
        self._steps = STEPS_MAX
        self._characters = CHARACTERS_MAX
        self._a_turn = a_turn

    def step(self, count: int) -> None:
        self._steps -= count
        if self._steps < 0:
            raise NotFilledIn(f"its blocks go through more than {STEPS_MAX} members")
        self.print(count * self._a_turn)

    def print(self, characters: int) -> None:
        self._characters -= characters
        if self._characters < 0:
            raise NotFilledIn(f"it may become longer than {CHARACTERS_MAX} characters")


class _Text(str):
    _budget: Budget

    def __new__(cls, value: str, budget: Budget) -> _Text:
        made = super().__new__(cls, value)
        made._budget = budget
        return made

    def __str__(self) -> str:
        self._budget.print(len(self))
        return str.__str__(self)


class _Number(float):
    """Says that it is no integer, or the engine would write all digits of 1e21."""

    def is_integer(self) -> bool:
        return False

    def __str__(self) -> str:
        return _number_text(self)


class _List(list[Any]):
    _budget: Budget

    def __iter__(self) -> Iterator[Any]:
        self._budget.step(len(self))
        return super().__iter__()


class _Object(dict[str, Any]):
    _budget: Budget

    def items(self) -> Any:
        self._budget.step(len(self))
        return super().items()


def adapted(value: Any, budget: Budget, *, nulls: bool) -> Any:
    """The value for the engine; without `nulls`, what is null is as if it were missing."""
    match value:
        case str():
            return _Text(value, budget)
        case int() if abs(value) < _EXACT_MAX:  # a truth value too
            return value
        case int() | float():
            return _Number(_double(value))
        case dict():
            made = _Object()
            made._budget = budget
            for name, one in in_order(value):
                if nulls or one is not None:
                    made[_Text(name, budget)] = adapted(one, budget, nulls=nulls)
            return made
        case list():
            members = _List(adapted(member, budget, nulls=nulls) for member in value)
            members._budget = budget
            return members
        case _:  # null, and what is no data: the engine refuses it
            return value


def scalar_text(value: Any) -> str | None:
    """How a text, a number or a truth value is printed; nothing for others."""
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case int() if abs(value) < _EXACT_MAX:
            return str(value)
        case int() | float():
            return _number_text(_double(value))
        case _:
            return None


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def in_order(members: dict[str, Any]) -> list[tuple[str, Any]]:
    """An object's members as JavaScript goes through them."""
    return sorted(members.items(), key=lambda one: _place(one[0]))


def _place(name: str) -> tuple[bool, int]:
    """JavaScript goes through an object's small whole numbers first, the others as they came."""
    whole = name.isascii() and name.isdigit() and str(int(name[:11])) == name and int(name) < _INDEX_MAX
    return (False, int(name)) if whole else (True, 0)


def look_up(collection: Any, key: Any) -> Any:
    """``{{lookup collection key}}``"""
    if collection is None or (not isinstance(collection, list | dict) and not collection):
        return collection
    name = _key_text(key)
    if isinstance(collection, dict):
        return collection.get(name)
    if not isinstance(collection, list | str):
        return None
    if name == "length":
        return len(collection)
    whole, at = _place(name)
    return collection[at] if not whole and at < len(collection) else None


def _key_text(key: Any) -> str:
    match key:
        case str():
            return str.__str__(key)
        case bool():
            return str(key).lower()
        case None:
            return "null"
        case int():
            return str(key)
        case float():
            return _number_text(key)
        case list():
            return ",".join("" if one is None else _key_text(one) for one in key)
        case _:
            return "[object Object]"


def _number_text(number: float) -> str:
    """As JavaScript writes it: the shortest digits, with an exponent from 1e21 and below 1e-6."""
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    _, parts, _ = Decimal(float.__repr__(number)).normalize().as_tuple()
    exponent = Decimal(float.__repr__(number)).normalize().adjusted() + 1
    digits = "".join(map(str, parts))
    sign = "-" if number < 0 else ""
    if number == 0:
        return "0"
    if not -6 < exponent <= 21:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{exponent - 1:+d}"
    if exponent <= 0:
        return f"{sign}0.{'0' * -exponent}{digits}"
    if exponent >= len(digits):
        return sign + digits.ljust(exponent, "0")
    return f"{sign}{digits[:exponent]}.{digits[exponent:]}"
