"""Whether a lock is closed: every requirement of what it holds, for each Python and platform, is met by a pin of it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.bootstrap.lock import blocks

__all__ = ["ENVIRONMENTS", "Findings", "check", "holding", "installed", "pins"]

_PLATFORMS = {
    "Linux x86-64": {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
    },
    "Linux arm64": {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "aarch64",
        "os_name": "posix",
    },
    "macOS arm64": {
        "sys_platform": "darwin",
        "platform_system": "Darwin",
        "platform_machine": "arm64",
        "os_name": "posix",
    },
}
ENVIRONMENTS: dict[str, dict[str, str]] = {
    f"{name}, Python {python}": facts
    | {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "implementation_name": "cpython",
        "implementation_version": f"{python}.1",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_version": "",
    }
    for (name, facts), python in product(_PLATFORMS.items(), ("3.11", "3.12", "3.13", "3.14"))
}
Requires = Callable[[str], list[str] | None]
"""A package's own requirements as its metadata has them; None when they cannot be read here."""


parsed = lru_cache(None)(Requirement)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a lock lacks, and whose requirements could not be read."""

    unmet: list[str]
    unread: list[str]


def pins(text: str) -> dict[str, list[Requirement]]:
    """What a lock pins, each with its marker; more than one where Pythons need different versions."""
    return {
        canonicalize_name(name): [
            parsed(line.removesuffix("\\").strip()) for line in block.splitlines() if not line.startswith(" ")
        ]
        for name, block in blocks(text).items()
    }


def holding(text: str, environment: Mapping[str, str]) -> dict[str, Requirement]:
    """The pins that hold in an environment. Raises `ValueError` when two of one package do."""
    found: dict[str, Requirement] = {}
    for name, several in pins(text).items():
        valid = [pin for pin in several if pin.marker is None or pin.marker.evaluate(dict(environment))]
        if len(valid) > 1:
            raise ValueError(f"{name} is pinned twice: {valid}")
        found.update((name, pin) for pin in valid)
    return found


@lru_cache(None)
def installed(name: str) -> list[str] | None:
    try:
        return importlib.metadata.distribution(name).requires or []
    except importlib.metadata.PackageNotFoundError:
        return None


def check(text: str, roots: Iterable[str], environment: Mapping[str, str], requires: Requires) -> Findings:
    """Follows every requirement from `roots`, extras included, through the pins that hold in `environment`."""
    known = holding(text, environment)
    unmet: set[str] = set()
    unread: set[str] = set()
    seen: set[tuple[str, str]] = set()
    left = [("pyproject.toml", needed) for needed in _holding(roots, "", environment)]
    while left:
        who, needed = left.pop()
        name = canonicalize_name(needed.name)
        if name not in known or not _meets(known[name], needed):
            unmet.add(f"{who} needs {needed}, the lock has {known.get(name, 'none')}")
            continue
        for extra in {"", *needed.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                if (lines := requires(name)) is None:
                    unread.add(name)
                left += [(name, further) for further in _holding(lines or [], extra, environment)]
    return Findings(sorted(unmet), sorted(unread))


def _holding(lines: Iterable[str], extra: str, environment: Mapping[str, str]) -> Iterator[Requirement]:
    for line in lines:
        requirement = parsed(line)
        if requirement.marker is None or requirement.marker.evaluate({**environment, "extra": extra}):
            yield requirement


def _meets(pin: Requirement, needed: Requirement) -> bool:
    (version,) = (part.version for part in pin.specifier)
    return needed.specifier.contains(version, prereleases=True)
