"""Resolves the stack's jars anew and writes their locks: ``python -m infra.embedded.lock_jars``, a part of `make lock`.

The only place that resolves. It takes half a minute of CPU and asks Maven Central for hundreds of POMs, which is why
`infra.jars` does not.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from jgo.env import EnvironmentBuilder, LinkStrategy
from jgo.maven import MavenContext, PythonResolver

from infra.embedded.jars import JavaProgram
from infra.embedded.kafka import KAFKA
from infra.embedded.others import ELASTICMQ
from infra.jars import LOCKS, Jar, JarLock
from schemas.runtime.errors import SetupError

__all__ = ["jar_at", "main", "resolve"]

PROGRAMS = (KAFKA, ELASTICMQ)


def resolve(program: JavaProgram, work: Path) -> JarLock:
    """What Maven's own rules make of the program's coordinates, hashed."""
    repository, environment = work / "repository", work / "environment"
    context = MavenContext(repo_cache=repository, resolver=PythonResolver(), timeout=60)
    builder = EnvironmentBuilder(context=context, cache_dir=environment, link_strategy=LinkStrategy.COPY)
    builder.from_endpoint(program.coordinates)
    names = {path.name for path in environment.rglob("*.jar")}
    if program.alone:
        group, artifact, version = program.alone
        names.add(context.project(group, artifact).at_version(version).artifact().resolve().name)
    found = [path for path in repository.rglob("*.jar") if path.name in names]
    if len(found) != len(names):
        raise SetupError(f"{program.name}: {len(found)} jars in the repository for {len(names)} names")
    jars = sorted((jar_at(path, repository) for path in found), key=lambda jar: jar.name)
    return JarLock(f"{program.name}-{program.version}", program.source, tuple(jars))


def jar_at(path: Path, repository: Path) -> Jar:
    """A jar by its place in a Maven repository: group's parts, artifact, version, file."""
    *groups, artifact, version, name = path.relative_to(repository).parts
    classifier = name.removeprefix(f"{artifact}-{version}").removesuffix(".jar").removeprefix("-")
    content = path.read_bytes()
    return Jar(".".join(groups), artifact, version, classifier, hashlib.sha256(content).hexdigest(), len(content))


def main() -> None:
    for program in PROGRAMS:
        with tempfile.TemporaryDirectory() as folder:
            lock = resolve(program, Path(folder))
        for old in LOCKS.glob(f"{program.name}-*.jars.lock"):
            old.unlink()
        (LOCKS / f"{lock.name}.jars.lock").write_text(str(lock))


if __name__ == "__main__":
    main()
