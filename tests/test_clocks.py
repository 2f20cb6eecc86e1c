"""Tests do not know the machine's speed: no pause, no assertion on elapsed time, no limit that a busy machine meets.

A condition is awaited; a limit ends what hangs, and is ten times what is usual; time is measured in ``benchmarks/``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# It reads sources and runs nothing that is measured.
pytestmark = pytest.mark.no_cover
HERE = Path(__file__).parent
PAUSE_S = 0.05
"""Longer than that nobody sleeps between two looks."""
LIMIT_S = 60.0
CLOCKS = {"monotonic", "perf_counter", "process_time", "time_ns", "monotonic_ns", "boot_s"}
LIMITED = {"wait", "wait_for", "wait_procs", "result", "join", "communicate", "flush", "poll", "timeout"}
"""Calls whose last argument is a limit, or whose ``timeout`` is."""

ALLOWED = {
    ("support/killer.py", "strike"): "the fault itself: the whole event loop stands still",
    ("support/world.py", "wait_for"): "the limit itself",
    ("stops/run.py", "terms"): "the fault itself: a stop at any moment",
    ("unit/test_ending.py", "test_a_bare_cancellation_would_hang"): "what hangs for ever is looked at once",
    ("contracts/test_dedup.py", "test_the_pace_is_one_for_the_group"): "an upper bound that more time only loosens",
    ("contracts/test_dedup.py", "test_a_throttle_halves_the_pace_and_it_comes_back"): "an upper bound that more time only loosens",
}  # fmt: skip
"""What is right all the same, by file and function, and why."""

VIRTUAL = HERE / "simulation"
"""Time jumps there: a pause takes none. Only what stops the whole process, `time.sleep`, would."""


def offences(source: str) -> Iterator[tuple[str, int, str]]:
    """Function, line and what is wrong there."""
    tree = ast.parse(source)
    for function, node in _walk(tree, "(module)"):
        if isinstance(node, ast.Call) and (said := _pause(node) or _limit(node)):
            yield function, node.lineno, said
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from ((node.name, node.lineno, said) for said in _defaults(node))
            spans = _spans(node)
            for inner in ast.walk(node):
                if isinstance(inner, ast.Assert) and _knows_time(inner.test, spans):
                    yield node.name, inner.lineno, "an assertion on elapsed time"


def _walk(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
        yield inside, child
        yield from _walk(child, inside)


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _number(node: ast.AST) -> float | None:
    return float(node.value) if isinstance(node, ast.Constant) and type(node.value) in {int, float} else None


def _pause(call: ast.Call) -> str:
    if _name(call) != "sleep" or not call.args:
        return ""
    seconds = _number(call.args[0])
    if seconds is not None and seconds <= PAUSE_S:
        return ""
    return f"a pause ({ast.unparse(call)}): wait for the condition"


def _limit(call: ast.Call) -> str:
    given = [word.value for word in call.keywords if word.arg in {"timeout", "timeout_s"}]
    if _name(call) in LIMITED and call.args:
        given.append(call.args[-1])
    for seconds in map(_number, given):
        if seconds is not None and PAUSE_S < seconds < LIMIT_S:
            return f"a limit of {seconds:g} s ({ast.unparse(call)}): ten times what is usual is at least {LIMIT_S:g}"
    return ""


def _defaults(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Limits that hold where a caller names none."""
    args = function.args
    named = [*args.posonlyargs, *args.args]
    pairs = [*zip(named[len(named) - len(args.defaults) :], args.defaults, strict=True)]
    pairs += [(arg, default) for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if default]
    for arg, default in pairs:
        seconds = _number(default)
        if re.fullmatch(r"(.*_)?(timeout|limit)(_s)?", arg.arg) and seconds is not None and PAUSE_S < seconds < LIMIT_S:
            yield f"a limit of {seconds:g} s ({arg.arg}): ten times what is usual is at least {LIMIT_S:g}"


def _is_clock(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or node.args:
        return False
    if _name(node) == "time":  # time.time() is a date as well, a loop's time() is not
        return isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) != "time"
    return _name(node) in CLOCKS


def _spans(function: ast.AST) -> set[str]:
    """Variables that hold a moment of a clock, or what lies between two."""
    found = set()
    for node in ast.walk(function):
        for target, value in _assigned(node):
            if isinstance(target, ast.Name) and any(map(_is_clock, _outside_of_calls(value))):
                found.add(target.id)
    return found


def _assigned(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    for target in node.targets if isinstance(node, ast.Assign) else []:
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            yield from zip(target.elts, node.value.elts, strict=True)
        else:
            yield target, node.value


def _outside_of_calls(node: ast.AST) -> Iterator[ast.AST]:
    """The expression's parts, but not what it gives to functions: a deadline for somebody else is no measurement."""
    yield node
    for child in [] if isinstance(node, (ast.Call, ast.Lambda)) else ast.iter_child_nodes(node):
        yield from _outside_of_calls(child)


def _knows_time(test: ast.AST, spans: set[str]) -> bool:
    parts = _outside_of_calls(test)
    return any(_is_clock(node) or (isinstance(node, ast.Name) and node.id in spans) for node in parts)


def test_no_test_knows_the_machines_speed() -> None:
    """Whoever has a good reason writes it down above; a reason that excuses nothing goes."""
    found, used = [], set()
    for path in sorted(HERE.rglob("*.py")):
        name = str(path.relative_to(HERE))
        virtual = path.is_relative_to(VIRTUAL) and not path.name.startswith("test_")
        for function, line, said in offences(path.read_text()):
            if virtual and "(time.sleep(" not in said:
                continue
            if (name, function) in ALLOWED:
                used.add((name, function))
            else:
                found.append(f"tests/{name}:{line} ({function}): {said}")
    assert not found, "\n".join(found)
    assert used == set(ALLOWED), f"these excuse nothing: {set(ALLOWED) - used}"


WRONG = {
    "import time\ntime.sleep(1)": "a pause",
    "async def f(x):\n    await asyncio.sleep(x)": "a pause",
    "def f(p):\n    assert p.wait(20) == 0": "a limit of 20 s",
    "subprocess.run(['x'], timeout=30)": "a limit of 30 s",
    "message = consumer.poll(10)": "a limit of 10 s",
    "def f(what, timeout_s=20): ...": "a limit of 20 s",
    "def f(*, read_timeout_s: float = 5.0): ...": "a limit of 5 s",
    "def f():\n    began = time.monotonic()\n    go()\n    assert time.monotonic() - began < 3": "elapsed",
    "def f(loop):\n    took = loop.time() - 3\n    assert took < 3": "elapsed",
}


@pytest.mark.parametrize("source", WRONG)
def test_each_kind_is_found(source: str) -> None:
    """The look itself is tried."""
    said = [said for _, _, said in offences(source)]
    assert said
    assert WRONG[source] in said[0]


@pytest.mark.parametrize(
    "source", ["time.sleep(0.02)", "p.wait(0)", "p.wait(WAIT_S)", "def f():\n    assert time.time() > 3"]
)
def test_what_is_right_is_let_be(source: str) -> None:
    """Looks in quick succession, named limits, dates."""
    assert not list(offences(source))
