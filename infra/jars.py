"""The jars of the embedded stack: pinned by their hashes in `infra/embedded/*.jars.lock`, kept in the user's cache.

Nothing is resolved here: a lock names every jar, and `make lock` makes it. A folder of the cache belongs to one lock's
content, so checkouts of different versions never take each other's jars away; every look at it compares the hashes, so
a download that was killed goes on where it was, and a jar that was cut short or changed is fetched anew. It must import
nothing heavy: the set-up runs it beside the compiler of bytecode.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.runtime.errors import SetupError

__all__ = ["Jar", "JarLock", "cache_folder", "fetch", "locks", "main", "sweep", "wrong"]

LOCKS = Path(__file__).with_name("embedded")
_DOWNLOADS_AT_ONCE = 6
_ATTEMPTS_MAX = 3
_SAY_EVERY_S = 1.0
_LEFT_ALONE_S = 86_400
"""After this long nobody writes in a folder of 0.1 any more: its process's number may be another's."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of a lock."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str
    size: int

    @classmethod
    def parse(cls, line: str) -> Jar:
        coordinates, sha256, size = line.split()
        group, artifact, version, *classifier = coordinates.split(":")
        return cls(group, artifact, version, "".join(classifier), sha256, int(size))

    def __str__(self) -> str:
        parts = filter(None, (self.group, self.artifact, self.version, self.classifier))
        return f"{':'.join(parts)} {self.sha256} {self.size}"

    @property
    def name(self) -> str:
        return "-".join(filter(None, (self.artifact, self.version, self.classifier))) + ".jar"


@dataclass(frozen=True, slots=True)
class JarLock:
    """A program's jars, by hash."""

    name: str
    """The program and its version, as in the file's name."""
    source: str
    """What it was resolved from."""
    jars: tuple[Jar, ...]

    @classmethod
    def read(cls, path: Path) -> JarLock:
        """Raises `SetupError` when there is none: somebody changed a version without `make lock`."""
        try:
            lines = path.read_text().splitlines()
        except OSError as error:
            raise SetupError(f"{path} cannot be read ({error.strerror}); `make lock` makes it") from error
        jars = tuple(Jar.parse(line) for line in lines if line and not line.startswith("#"))
        return cls(path.name.removesuffix(".jars.lock"), lines[0].removeprefix("# "), jars)

    def __str__(self) -> str:
        return "\n".join((f"# {self.source}", *map(str, self.jars), ""))

    @property
    def folder(self) -> Path:
        """Where its jars are kept: beside those of every other content of this lock."""
        return cache_folder() / f"{self.name}-{hashlib.sha256(str(self).encode()).hexdigest()[:12]}"


def locks() -> list[JarLock]:
    return [JarLock.read(path) for path in sorted(LOCKS.glob("*.jars.lock"))]


def cache_folder(program: str = "mailonce", environment: Mapping[str, str] = os.environ) -> Path:
    """Where a program's downloads are kept. Raises `SetupError` where no home is known (no HOME, an unknown user)."""
    if cache := environment.get("XDG_CACHE_HOME"):
        return Path(cache) / program
    try:
        return Path.home() / ".cache" / program
    except RuntimeError:
        raise SetupError("there is no home folder to keep downloads in: set XDG_CACHE_HOME (or HOME)") from None


def wrong(lock: JarLock) -> list[Jar]:
    """Those that are missing, cut short or changed. A tenth of a second for all."""
    return [jar for jar in lock.jars if not _is(jar, lock.folder / "jars" / jar.name)]


def fetch(lock: JarLock, say: Callable[[str], None]) -> Path:
    """The folder with `jars` in it; downloads what is missing there. Raises `SetupError`."""
    target = lock.folder
    if not wrong(lock) and not _foreign(lock):
        return target
    try:
        (target / "jars").mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        with _alone(target, say):
            for path in _foreign(lock):
                path.unlink()
            if jars := wrong(lock):
                _download(lock, jars, say)
    except OSError as error:
        raise SetupError(
            f"the jars of {lock.name} cannot be kept in {target}: {error.strerror or error}. "
            "XDG_CACHE_HOME names another folder for caches"
        ) from error
    return target


def _is(jar: Jar, path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return (
                os.fstat(file.fileno()).st_size == jar.size
                and hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
            )
    except OSError:
        return False


def _foreign(lock: JarLock) -> list[Path]:
    """Jars that no line of the lock names: Java would load them too."""
    names = {jar.name for jar in lock.jars}
    return [path for path in (lock.folder / "jars").glob("*.jar") if path.name not in names]


@contextlib.contextmanager
def _alone(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """One download into a folder at a time. The kernel takes the lock back from a process that was killed."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{folder.name}: another process is downloading it, waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sweep(cache: Path) -> None:
    """Takes away what killed downloads left: `download` is its `lock` holder's; 0.1 made folders `….PID.part`."""
    for path in cache.glob("*.part"):
        if (pid := re.search(r"\.(\d+)\.part$", path.name)) and _abandoned(path, int(pid[1])):
            shutil.rmtree(path, ignore_errors=True)
    for path in cache.glob("*/download"):
        with contextlib.suppress(OSError), path.with_name("lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)


def _abandoned(path: Path, pid: int) -> bool:
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _LEFT_ALONE_S:
            return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _download(lock: JarLock, jars: list[Jar], say: Callable[[str], None]) -> None:
    """Says something every second, whatever the network does."""
    work = lock.folder / "download"
    shutil.rmtree(work, ignore_errors=True)
    received: Counter[str] = Counter()
    context = _context(work, received)
    size = sum(jar.size for jar in jars)
    say(f"downloading {lock.name} ({round(size / 1e6)} MB, once)")
    pool = ThreadPoolExecutor(_DOWNLOADS_AT_ONCE)
    try:
        # Large ones first: a large one that begins last would end alone.
        pending = {pool.submit(_get, context, lock, jar) for jar in sorted(jars, key=lambda jar: -jar.size)}
        while pending:
            done, pending = wait(pending, _SAY_EVERY_S, FIRST_EXCEPTION)
            for future in done:
                future.result()
            count, so_far = len(jars) - len(pending), min(size, sum(list(received.values())))
            state = f"{count} of {len(jars)} jars, {so_far / 1e6:.0f} of {size / 1e6:.0f} MB"
            say(f"{lock.name} {bar(so_far, size)} {state}")
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(work, ignore_errors=True)


def bar(done: int, size: int, width: int = 24) -> str:
    full = width * done // size if size else width
    return f"[{'#' * full}{'.' * (width - full)}]"


def _context(work: Path, received: Counter[str]) -> Any:
    """jgo's way to Maven Central, which counts the bytes of each file in `received`."""
    try:
        from infra.maven import context
    except ImportError as error:
        raise SetupError(
            f"the embedded stack needs the extra `stack`: pip install 'mailonce[stack]' ({error})"
        ) from None
    return context(work, received)


def _get(context: Any, lock: JarLock, jar: Jar) -> Jar:
    """Downloads a jar, compares its hash, and only then puts it where Java looks, in one move."""
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact(classifier=jar.classifier)
    problem: Exception = RuntimeError("nothing was tried")
    for _ in range(_ATTEMPTS_MAX):
        try:
            path = artifact.resolve()
        except OSError as error:  # of the disk, or of the network: requests' errors are among them
            if error.errno and not _of_the_network(error):
                raise
            problem = error
        except (RuntimeError, AssertionError) as error:
            problem = error
        else:
            if _is(jar, path):
                path.replace(lock.folder / "jars" / jar.name)
                return jar
            problem = RuntimeError(f"{jar.name} came with another content than {lock.name}'s lock has")
        artifact.cached_path.unlink(missing_ok=True)
    raise SetupError(f"{lock.name} could not be downloaded from Maven Central: {problem}. {_advice(problem)}")


def _advice(error: Exception) -> str:
    from infra.maven import advice  # heavy, and there: it was what failed

    return advice(error)


def _of_the_network(error: OSError) -> bool:
    return type(error).__module__.startswith(("requests", "urllib3"))


def main() -> None:
    """``python -m infra.jars``: every lock's jars; a line for each second."""
    for lock in locks():
        fetch(lock, lambda text: print(text, flush=True))  # noqa: T201 - the progress


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"mailonce: {error}")
