"""What is tried, as values: under which conditions, which steps, and what is expected of them. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

__all__ = ["DEAD_PROXY", "ENVIRONMENT", "KINDS", "Cache", "Condition", "Step", "conditions"]

ENVIRONMENT = {"LC_ALL": "C", "TZ": "Pacific/Kiritimati"}
"""Beside ``umask 077``, an empty HOME and a path with a space and an apostrophe: so is every condition."""

DEAD_PROXY = {
    spelling: "http://127.0.0.1:9"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    for spelling in (name, name.lower())
}

KINDS = {
    "unit": "tests/unit/test_states.py",
    "properties": "tests/properties/test_properties.py::test_any_user_id_survives_key_and_tags",
    "contracts": "tests/contracts/test_dedup.py::test_a_resend_is_used_once",
    "simulation": "tests/simulation/test_simulation.py::test_the_same_seed_walks_the_same_way",
    "integration": "tests/integration/test_commands.py::test_show_tells_one_mails_story",
    "chaos": "tests/chaos/test_chaos.py::test_a_short_chaos_run",
    "evidence": "tests/integration/test_evidence.py::test_a_stack_with_events",
}
"""One test of each kind; the last one is integration, with SQS."""


class Cache(Enum):
    """Where downloads are kept, by XDG_CACHE_HOME."""

    OWN = "in the condition's own HOME, empty at first"
    SHARED = "that of the first condition"


@dataclass(frozen=True, slots=True)
class Step:
    """A command in a checkout.

    Args:
        name: its column.
        command: ``{python}`` is the interpreter, ``{bin}`` the checkout's own ``.venv/bin``.
        fails_with: a word of the error it must end with; without one it must end well.
        killed_after: a share of the time that the first set-up took, after which its process group is killed.
        cache: another one than the condition's.
        home_read_only: whether HOME can only be read.
    """

    name: str
    command: tuple[str, ...]
    fails_with: str = ""
    killed_after: float = 0.0
    cache: Cache | None = None
    home_read_only: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A machine.

    Args:
        name: its row.
        steps: in their order; after a failed one the rest is left out.
        checkouts: names of the clones; every step runs in all of them at once. Conditions share those of one name.
        environment: beside `ENVIRONMENT`.
        cache: where downloads are.
        ordinary: whether by a user without rights.
        offline: whether without any network but loopback.
    """

    name: str
    steps: tuple[Step, ...]
    checkouts: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    cache: Cache = Cache.SHARED
    ordinary: bool = False
    offline: bool = False


SETUP = Step("setup", ("make", "setup", "PYTHON={python}"))
DEMO = Step("demo", ("make", "demo", "PYTHON={python}"))


def _test(kind: str) -> Step:
    return Step(kind, ("{bin}/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", KINDS[kind]))


def conditions(*, whole: bool) -> Sequence[Condition]:
    """For one Python: all of them, or what an interpreter can change (`whole` false)."""
    every = (SETUP, DEMO, *map(_test, ("unit", "properties", "contracts", "simulation", "integration", "chaos")))
    bare = Condition("bare", every, ("one",), cache=Cache.OWN)
    if not whole:
        return (replace(bare, cache=Cache.SHARED),)
    return (
        bare,
        Condition("dead proxy", (SETUP, DEMO, _test("evidence")), ("one",), DEAD_PROXY),
        Condition("no network", (SETUP, DEMO, _test("contracts")), ("one",), offline=True),
        Condition("killed set-up", (*_killed(0.2, 0.6), SETUP, _test("unit")), ("killed",)),
        Condition("ordinary user", (SETUP, DEMO, _test("unit")), ("theirs",), ordinary=True),
        Condition("HOME read-only", _read_only(), ("theirs",), ordinary=True),
        Condition("two at once", (SETUP, DEMO), ("left", "right"), cache=Cache.OWN),
    )


def _killed(*shares: float) -> tuple[Step, ...]:
    return tuple(replace(SETUP, name=f"killed {number}", killed_after=share) for number, share in enumerate(shares, 1))


def _read_only() -> tuple[Step, ...]:
    """Without a folder for caches the error names the variable; with it everything works."""
    named = replace(SETUP, name="named", fails_with="XDG_CACHE_HOME", cache=Cache.OWN, home_read_only=True)
    up = ("{bin}/mailonce", "stack", "up", "--only", "kafka", "--only", "valkey")
    down = ("{bin}/mailonce", "stack", "down")
    steps = (SETUP, Step("up", up), Step("down", down))
    return (named, *(replace(step, home_read_only=True) for step in steps))
