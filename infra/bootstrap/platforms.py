"""Where the lock can be installed: a table, and the reason for every other place. No I/O but `facts`."""

from __future__ import annotations

import os
import platform
import struct
import sys
import sysconfig
from dataclasses import dataclass

__all__ = ["CONTAINER", "NEWEST", "OLDEST", "Facts", "facts", "refusal", "source_only"]

OLDEST, NEWEST = (3, 11), (3, 14)
GLIBC_MIN = (2, 28)
CONTAINER = (
    "By container it runs there too: "
    'docker run --rm -it -v "$PWD:/mailonce" -w /mailonce python:3.13.9-bookworm make demo'
)
_ARM = ("aarch64", "arm64")


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides whether wheels fit."""

    system: str
    machine: str
    libc: str
    """`glibc 2.36`; empty where it is none or not known."""
    implementation: str
    version: tuple[int, int]
    bits: int
    free_threaded: bool
    has_venv: bool
    executable: str


def facts() -> Facts:
    """Those of this Python on this machine."""
    try:
        import ensurepip
        import venv

        has_venv = bool(ensurepip and venv)
    except ImportError:
        has_venv = False
    return Facts(
        platform.system(),
        platform.machine().lower(),
        _libc(),
        platform.python_implementation(),
        sys.version_info[:2],
        struct.calcsize("P") * 8,
        bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        has_venv,
        sys.executable,
    )


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):  # Windows has no confstr, musl not this name
        return ""


def refusal(found: Facts) -> str | None:
    """Why mailonce cannot be set up here, and what to do instead; None where it can."""
    return _of_the_platform(found) or _of_the_python(found)


def _of_the_platform(found: Facts) -> str | None:
    reason = None
    if found.system == "Linux":
        if found.machine not in ("x86_64", *_ARM):
            reason = f"needs Linux on x86-64 or arm64, and this is {found.machine}"
        elif not found.libc.startswith("glibc "):
            reason = "needs Linux with glibc, and this has another C library (musl, as Alpine's)"
        elif _numbers(found.libc) < GLIBC_MIN:
            reason = f"needs glibc {GLIBC_MIN[0]}.{GLIBC_MIN[1]} or newer (Debian 10, RHEL 8), and this is {found.libc}"
    elif found.system == "Darwin":
        if found.machine not in _ARM:
            reason = (
                f"needs a Mac with Apple's processor and a Python for it, and {found.executable} is for {found.machine}"
            )
    else:
        reason = f"needs Linux or macOS, and this is {found.system or 'neither'}"
    return reason and f"{reason}: some of its packages have no wheel for that. {CONTAINER}"


def _of_the_python(found: Facts) -> str | None:
    name = ".".join(map(str, found.version))
    other = "Name another Python: make setup PYTHON=python3.13"
    if found.implementation != "CPython" or found.free_threaded or found.bits != 64:
        kind = "free-threaded" if found.free_threaded else f"{found.bits}-bit {found.implementation}"
        return f"needs the usual 64-bit CPython, and {found.executable} is {kind}. {other}"
    if found.version < OLDEST:
        return f"needs Python 3.11 to 3.14, and {found.executable} is {name}. {other}"
    if found.version > NEWEST:
        return f"does not know Python {name} yet: its packages are locked for 3.11 to 3.14. {other}"
    if not found.has_venv:
        return (
            f"needs Python's venv and ensurepip, which {found.executable} lacks. "
            f"On Debian and Ubuntu: apt-get install python{name}-venv"
        )
    return None


def source_only(system: str, machine: str) -> tuple[str, ...]:
    """Locked packages without a wheel there. Faust's source becomes one without a compiler, by tools of the lock."""
    return ("faust-streaming",) if system == "Linux" and machine in _ARM else ()


def _numbers(libc: str) -> tuple[int, ...]:
    return tuple(int(part) for part in libc.split()[-1].split(".") if part.isdigit())
