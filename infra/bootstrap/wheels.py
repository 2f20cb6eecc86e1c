"""Measures where the lock has wheels, and writes the README's table: ``python -m infra.bootstrap.wheels``.

A lock's hashes do not name files, so uv is asked, with the index at hand, for a plan of each platform and Python. It
installs and downloads nothing. What has no wheel is named by uv's answer, one package at a time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.bootstrap import lock, told
from infra.bootstrap.platforms import NEWEST, OLDEST, source_only

__all__ = ["PLATFORMS", "Plan", "Platform", "lacking", "main", "table", "with_table"]

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- platforms: written by `make lock` -->", "<!-- /platforms -->"
_LACKS = re.compile(r"Because (?:only )?([a-z0-9._-]+)==?\S* has no usable wheels|no wheels? .*for `([a-z0-9._-]+)`")
_LACKING_MAX = 8
_ASK_WITHIN_S = 120
Plan = Callable[[str, str, str], str]
"""uv's word on a lock's text for a platform and a Python: empty when every package has a wheel."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A row of the table: how uv calls it, and the two words `platform` has for it."""

    title: str
    uv: str
    system: str
    machine: str
    supported: bool = True


PLATFORMS = (
    Platform("Linux x86-64, glibc 2.28 or newer", "x86_64-manylinux_2_28", "Linux", "x86_64"),
    Platform("Linux arm64, glibc 2.28 or newer", "aarch64-manylinux_2_28", "Linux", "aarch64"),
    Platform("macOS arm64", "aarch64-apple-darwin", "Darwin", "arm64"),
    Platform("macOS x86-64", "x86_64-apple-darwin", "Darwin", "x86_64", supported=False),
    Platform("Linux x86-64, musl (Alpine)", "x86_64-unknown-linux-musl", "Linux", "x86_64", supported=False),
    Platform("Linux x86-64, glibc 2.17", "x86_64-manylinux_2_17", "Linux", "x86_64", supported=False),
    Platform("Windows x86-64", "x86_64-pc-windows-msvc", "Windows", "amd64", supported=False),
)


def lacking(text: str, platform: str, python: str, plan: Plan, limit: int = _LACKING_MAX) -> list[str]:
    """The locked packages without a wheel there, sorted; no more than the first few where many lack one."""
    found: list[str] = []
    rest = lock.blocks(text)
    while len(found) < limit and (answer := plan("".join(rest.values()), platform, python)):
        named = _LACKS.search(answer)
        name = named and (named[1] or named[2])
        if not name or name not in rest:
            raise SystemExit(f"{platform}, Python {python}: {answer}")
        found.append(name)
        del rest[name]
    return sorted(found)


def ask_uv(environment: Mapping[str, str]) -> Plan:
    uv = Path(sys.executable).with_name("uv")
    begin = (str(uv), "pip", "install", "--dry-run", "--no-deps", "--require-hashes", "--only-binary", ":all:")

    def plan(text: str, platform: str, python: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder, "requirements.lock")
            part.write_text(text)
            choice = ("--python-platform", platform, "--python-version", python, "--target", folder)
            done = subprocess.run(
                [*begin, *choice, "--python", sys.executable, "-r", str(part)],
                env=dict(environment),
                capture_output=True,
                text=True,
                check=False,
                timeout=_ASK_WITHIN_S,
            )
        return " ".join(done.stderr.split()) if done.returncode else ""

    return plan


def pythons() -> list[str]:
    return [f"3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]


def table(measured: Mapping[str, Mapping[str, list[str]]]) -> str:
    """The rows, by what each Python lacks on each platform; elsewhere the first package that has no wheel says why."""
    lines = [
        "| | " + " | ".join(f"Python {python}" for python in pythons()) + " |",
        "|---" * (len(pythons()) + 1) + "|",
    ]
    for platform in PLATFORMS:
        cells = (_cell(platform, measured[platform.uv].get(python)) for python in pythons())
        lines.append(f"| {platform.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(platform: Platform, missing: list[str] | None) -> str:
    if not platform.supported or missing is None:
        return f"by container (no wheel of {missing[0]})" if missing else "by container"
    built = set(source_only(platform.system, platform.machine))
    if rest := sorted(set(missing) - built):
        return f"by container (no wheel of {rest[0]})"
    return f"yes ({', '.join(missing)} built)" if missing else "yes"


def with_table(readme: str, rows: str) -> str:
    """The README with `rows` between the two marks. Raises `ValueError` without marks."""
    before, _, rest = readme.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"README.md lacks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{rows}\n{END}{after}"


def measure(text: str, plan: Plan) -> dict[str, dict[str, list[str]]]:
    """Supported platforms with every Python; the others with the newest alone, up to what hinders first."""
    return {
        platform.uv: {
            python: lacking(text, platform.uv, python, plan, _LACKING_MAX if platform.supported else 1)
            for python in (pythons() if platform.supported else pythons()[-1:])
        }
        for platform in PLATFORMS
    }


def main() -> None:
    text = (ROOT / "requirements.lock").read_text()
    readme = ROOT / "README.md"
    rows = table(measure(text, ask_uv(told.environment(os.environ))))
    readme.write_text(with_table(readme.read_text(), rows))
    print(rows)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
