"""What the set-up runs, as values: each step's command and environment."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from infra.bootstrap import index, lock
from infra.bootstrap.jobs import Job
from schemas.runtime.errors import SetupError

__all__ = ["WORK", "Steps"]

WORK = ".set-up"
"""What is needed only meanwhile, inside `.venv`."""
_BUILD = ("setuptools", "setuptools-scm", "vcs-versioning", "packaging")
"""What makes a wheel of Faust's source: without build isolation nothing else is fetched for a build."""
_BEGUN = 8
"""More packages than this are not there before the many."""
_PACKAGES = ("mailonce", "schemas", "producer", "processor", "infra", "tests", "benchmarks", "docs")
_SELDOM_RUN = r"site-packages/((cfnlint|mpmath|mypyc?|networkx|sympy)/|.*/tests?/)"
"""A third of all source, which few or no command imports: what does compiles it then."""
_NO_RESOLVING = ("--no-deps", "--require-hashes", "--no-build-isolation")


class Steps:
    """The steps of one set-up in `root`, by the interpreter `base`."""

    def __init__(self, root: Path, base: str, environment: Mapping[str, str], source_only: tuple[str, ...]) -> None:
        self._root = root
        self._base = base
        self._python = str(root / ".venv/bin/python")
        self._source_only = source_only
        # Without a compiler Faust's build leaves its C parts out, and makes a wheel for any platform.
        build = {"CC": "/bin/false", "NO_CYTHON": "1"} if source_only else {}
        self._environment = index.kept(environment) | build | {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        self._lock = (root / "requirements.lock").read_text()
        self._pins = len(lock.blocks(self._lock))

    def environment(self) -> Job:
        return Job("virtual environment", [self._base, "-m", "venv", ".venv"], self._environment)

    def installer(self) -> Job:
        return self._pip("installer", self._partial("uv.lock", lock.part(self._lock, ["uv"])))

    def tools(self) -> list[Job]:
        """What builds the packages that have no wheel here; most places need none."""
        if not self._source_only:
            return []
        return [self._pip("build tools", self._partial("build.lock", lock.part(self._lock, _BUILD)))]

    def by_uv(self) -> Job:
        """Every package. Raises `Untranslatable` when pip was told what uv cannot be told."""
        return Job(
            f"{self._pins} packages",
            [*self._uv(), *_NO_RESOLVING, *self._binaries(), "-r", "requirements.lock"],
            self._for_uv(),
            self._installed,
        )

    def by_pip(self) -> Job:
        """Every package but uv, which this machine may not have."""
        rest = [name for name in lock.blocks(self._lock) if name != "uv"]
        return self._pip(f"{self._pins} packages by pip", self._partial("rest.lock", lock.part(self._lock, rest)))

    def ourselves(self) -> Job:
        """An editable install: `.venv/bin/mailonce`. pip's form of it costs a second more, and needs no uv."""
        command = [self._python, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "-e", "."]
        return Job("mailonce itself", command, self._environment)

    def bytecode(self) -> Job:
        """Once for all commands, which else spend two seconds each. What cannot be compiled is nobody's import."""
        folders = [*map(str, (self._root / ".venv/lib").glob("python*/site-packages")), *_PACKAGES]
        command = [self._python, "-m", "compileall", "-qq", "-j", "0", "-x", _SELDOM_RUN, *folders]
        return Job("bytecode", command, self._environment, lambda: "", may_fail=True)

    def jars(self) -> Job:
        """By requests, which reads none of pip's settings."""
        said = index.for_requests(self._told_to_pip(), self._environment)
        return Job("Kafka's jars", [self._python, "-m", "infra.jars"], self._environment | said)

    def _pip(self, title: str, part: Path) -> Job:
        command = [self._python, "-m", "pip", "install", "--no-compile", "--progress-bar", "off"]
        return Job(title, [*command, *_NO_RESOLVING, *self._binaries(), "-r", str(part)], self._environment)

    def _binaries(self) -> list[str]:
        """Nothing is built but what has no wheel here."""
        chosen = [("--no-binary", name) for name in self._source_only]
        return ["--only-binary", ":all:", *(word for pair in chosen for word in pair)]

    def _uv(self) -> list[str]:
        return [str(self._root / ".venv/bin/uv"), "pip", "install", "--no-progress", "--python", self._python]

    def _for_uv(self) -> dict[str, str]:
        said = index.for_uv(self._told_to_pip(), self._environment)
        return self._environment | said | self._cache()

    def _told_to_pip(self) -> dict[str, str]:
        listed = subprocess.run(
            [self._python, "-m", "pip", "config", "list"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return index.pip_settings(listed.stdout)

    def _cache(self) -> dict[str, str]:
        """uv's own, or one inside `.venv` where that cannot be written, for one installation."""
        from infra.jars import cache_folder  # of no use where the platform is refused, and not importable everywhere

        try:
            own = Path(self._environment.get("UV_CACHE_DIR") or cache_folder("uv", self._environment))
            own.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=own):
                return {"UV_CACHE_DIR": str(own)}
        except (OSError, SetupError):  # the latter where no home is known
            return {"UV_CACHE_DIR": str(self._root / ".venv" / WORK / "cache")}

    def _installed(self) -> str:
        found = sum(1 for _ in (self._root / ".venv/lib").glob("python*/site-packages/*.dist-info"))
        return f"{found} of {self._pins} installed" if found > _BEGUN else "downloading"

    def _partial(self, name: str, text: str) -> Path:
        path = self._root / ".venv" / WORK / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path
