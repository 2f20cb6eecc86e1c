"""A small checkout whose set-up is the real one, from wheels on disk: no index, a second or two of pip."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

__all__ = ["Checkout"]

ROOT = Path(__file__).parents[2]
_COPIED = (
    "infra/__init__.py",
    "infra/jars.py",
    "infra/bootstrap",
    "schemas/__init__.py",
    "schemas/limits.py",
    "schemas/runtime/errors.py",
    "Makefile",
)
_PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "mailonce"
version = "1"
[project.scripts]
mailonce = "mailonce:main"
[tool.setuptools]
packages = ["mailonce"]
"""


class Checkout:
    """`root` may hold any character. uv is a stand-in without a program, so pip does the work."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root, self.home = root, home
        self.wheels = home / "wheels"
        self.wheels.mkdir(parents=True)
        for name in _COPIED:
            source, target = ROOT / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        (root / "infra/embedded").mkdir()
        (root / "mailonce").mkdir()
        (root / "mailonce/__init__.py").write_text("def main():\n    print('it works')\n")
        (root / "pyproject.toml").write_text(_PROJECT)
        self.lock({"one": "1", "two": "2"})

    def lock(self, packages: dict[str, str]) -> None:
        """Locks toys of these versions, and this environment's own setuptools."""
        wheels = [self._toy(name, version) for name, version in {"uv": "0", "wheel": "0", **packages}.items()]
        lines = [_pin(wheel) for wheel in [*wheels, self._repacked("setuptools")]]
        (self.root / "requirements.lock").write_text("".join(lines))

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        own = {"HOME": str(self.home), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.wheels.as_uri()}
        return kept | own | {"PIP_CONFIG_FILE": os.devnull} | more

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.root / "infra/bootstrap"), *arguments],
            cwd=self.root,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **more: str) -> tuple[int, str]:
        """Its exit code and what it printed."""
        with self.start(*arguments, **more) as process:
            said, _ = process.communicate(timeout=600)
        return process.returncode, said

    def works(self) -> bool:
        done = subprocess.run([self.root / ".venv/bin/mailonce"], capture_output=True, text=True, check=False)
        return done.stdout == "it works\n"

    def version(self, name: str) -> str:
        code = f"from importlib.metadata import version; print(version({name!r}))"
        python = self.root / ".venv/bin/python"
        return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    def _toy(self, name: str, version: str) -> Path:
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}_toy.py": b"",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: toy\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        return self._wheel(f"{name}-{version}", files)

    def _repacked(self, name: str) -> Path:
        distribution = importlib.metadata.distribution(name)
        files = {
            str(path): Path(str(path.locate())).read_bytes()
            for path in distribution.files or []
            if not str(path).startswith("..") and path.suffix != ".pyc" and path.name not in ("RECORD", "INSTALLER")
        }
        return self._wheel(f"{name}-{distribution.version}", files)

    def _wheel(self, stem: str, files: dict[str, bytes]) -> Path:
        path = self.wheels / f"{stem}-py3-none-any.whl"
        record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in {**files, f"{stem}.dist-info/RECORD": record.encode()}.items():
                archive.writestr(zipfile.ZipInfo(name), data)
        return path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _pin(wheel: Path) -> str:
    name, version, *_ = wheel.name.split("-")
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
