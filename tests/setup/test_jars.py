"""The stack's jars: by hash, whatever happened to the cache or to a download."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import jars
from infra.embedded.jars import JavaProgram
from infra.embedded.kafka import KAFKA
from infra.embedded.lock_jars import PROGRAMS, jar_at
from infra.embedded.others import ELASTICMQ
from infra.jars import Jar, JarLock, fetch, sweep, wrong
from schemas.runtime.errors import SetupError

CONTENTS = {f"part-{number}": f"content {number}".encode() * 100 for number in range(8)}


def lock_of(contents: dict[str, bytes]) -> JarLock:
    return JarLock(
        "toy-1",
        "g:toy:1",
        tuple(
            Jar("g.h", name, "1", "", hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents.items()
        ),
    )


LOCK = lock_of(CONTENTS)


class Repository:
    """A stand-in for jgo's context: writes what `serve` returns where jgo would."""

    def __init__(self, work: Path, serve: Callable[[str], bytes]) -> None:
        self._work, self._serve = work, serve

    def project(self, _group: str, name: str) -> Repository:
        one = Repository(self._work, self._serve)
        one.cached_path, one._name = self._work / f"{name}.jar", name  # type: ignore[attr-defined]
        return one

    def at_version(self, _version: str) -> Repository:
        return self

    def artifact(self, classifier: str) -> Repository:
        return self

    def resolve(self) -> Path:
        self._work.mkdir(parents=True, exist_ok=True)
        path: Path = self.cached_path  # type: ignore[attr-defined]
        assert not path.exists(), "jgo takes a file that is there for the jar"
        path.write_bytes(self._serve(self._name))  # type: ignore[attr-defined]
        return path


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were asked for; the cache is the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return serve(monkeypatch, CONTENTS.__getitem__)


def serve(monkeypatch: pytest.MonkeyPatch, content: Callable[[str], bytes]) -> list[str]:
    asked: list[str] = []

    def answer(name: str) -> bytes:
        asked.append(name)
        return content(name)

    monkeypatch.setattr(jars, "_context", lambda work, _received: Repository(work, answer))
    return asked


def test_once_and_then_never(served: list[str]) -> None:
    """The first time all are fetched and progress is said, the second time nothing."""
    said: list[str] = []
    folder = fetch(LOCK, said.append)
    assert sorted(served) == sorted(CONTENTS)
    assert "8 of 8 jars" in said[-1]
    assert {path.name for path in (folder / "jars").iterdir()} == {jar.name for jar in LOCK.jars}
    served.clear()
    assert fetch(LOCK, said.append) == folder
    assert served == []


@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: b"X" + data[1:], lambda data: data * 2])
def test_a_jar_that_was_harmed_is_fetched_anew(served: list[str], harm: Callable[[bytes], bytes]) -> None:
    """Cut short, changed, longer: noticed by its hash, and only that one is fetched."""
    path = fetch(LOCK, str) / "jars" / LOCK.jars[3].name
    served.clear()
    path.write_bytes(harm(path.read_bytes()))
    assert wrong(LOCK) == [LOCK.jars[3]]
    fetch(LOCK, str)
    assert served == [LOCK.jars[3].artifact]
    assert wrong(LOCK) == []


def test_a_jar_of_nobody_is_taken_away(served: list[str]) -> None:
    """Java loads every jar of the folder: one that the lock does not name does not stay."""
    foreign = fetch(LOCK, str) / "jars" / "evil.jar"
    foreign.write_bytes(b"x")
    fetch(LOCK, str)
    assert not foreign.exists()


def test_a_wrong_answer_is_never_kept(served: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror with another content: said so, nothing of it where Java looks, and the rest is kept for the next time."""
    bad = LOCK.jars[7].artifact
    serve(monkeypatch, lambda name: b"other" if name == bad else CONTENTS[name])
    with pytest.raises(SetupError, match=r"part-7-1\.jar came with another content"):
        fetch(LOCK, str)
    assert not (LOCK.folder / "jars" / LOCK.jars[7].name).exists()
    asked = serve(monkeypatch, CONTENTS.__getitem__)
    fetch(LOCK, str)
    assert bad in asked


def test_a_connection_that_breaks_is_tried_again(served: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice cut in the middle, then whole."""
    tries: dict[str, int] = {}

    def flaky(name: str) -> bytes:
        tries[name] = tries.get(name, 0) + 1
        return CONTENTS[name] if tries[name] == 3 else CONTENTS[name][:10]

    serve(monkeypatch, flaky)
    fetch(LOCK, str)
    assert set(tries.values()) == {3}


def test_no_network_says_so(served: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The cause, and what to do."""

    def dead(_name: str) -> bytes:
        raise RuntimeError("no route")

    serve(monkeypatch, dead)
    with pytest.raises(SetupError, match="no route. Check the network, then try again"):
        fetch(LOCK, str)


def test_without_jgo_the_extra_is_named(served: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra `stack` is told what to install."""
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "infra.maven", None)
    with pytest.raises(SetupError, match=r"mailonce\[stack\]"):
        jars._context(Path(), jars.Counter())


def test_a_cache_that_cannot_be_written_names_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """HOME may be read-only: the message says which variable chooses another folder."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(SetupError, match="XDG_CACHE_HOME"):
        fetch(LOCK, str)
    with pytest.raises(SetupError, match="XDG_CACHE_HOME"):
        KAFKA.fetch(str)


def test_no_home_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No HOME, and a user that the machine does not know, as in many containers."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: {}["nobody"])
    with pytest.raises(SetupError, match="XDG_CACHE_HOME"):
        jars.cache_folder()


def test_two_at_once_download_once(served: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits, says so, and finds the first one's jars."""
    go = threading.Event()

    def slow(name: str) -> bytes:
        assert go.wait(60)
        return CONTENTS[name]

    asked = serve(monkeypatch, slow)
    said: list[str] = []

    def second(text: str) -> None:
        said.append(text)
        if "waiting" in text:
            go.set()

    def first(text: str) -> None:
        if "downloading" in text:
            begun.set()

    begun = threading.Event()
    one = threading.Thread(target=fetch, args=(LOCK, first))
    one.start()
    assert begun.wait(60)
    fetch(LOCK, second)
    one.join()
    assert "waiting" in said[0]
    assert sorted(asked) == sorted(CONTENTS)


KILLED = """
import os, sys, time
from pathlib import Path
from infra import jars
from tests.setup.test_jars import CONTENTS, LOCK, Repository

def serve(name):
    if name == "part-5":
        print("in the middle", flush=True)
        time.sleep(600)
    return CONTENTS[name]

jars._DOWNLOADS_AT_ONCE = 1
jars._context = lambda work, _: Repository(work, serve)
jars.fetch(LOCK, str)
"""


def test_a_killed_download_goes_on_and_leaves_nothing(served: list[str]) -> None:
    """What had come whole is kept, the rest is fetched, and the cache holds only what it should."""
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the middle\n"
        process.kill()
    before = {jar.artifact for jar in LOCK.jars} - {jar.artifact for jar in wrong(LOCK)}
    assert before
    folder = fetch(LOCK, str)
    assert set(served) == set(CONTENTS) - before
    assert {path.name for path in folder.iterdir()} == {"jars", "lock"}


def test_leftovers_are_swept_and_work_is_not(tmp_path: Path) -> None:
    """Folders of dead processes go; those of living ones, and downloads whose lock is held, stay."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        dead = process.pid
    living, gone, old = (tmp_path / f"kafka-4.2.2.{pid}.part" for pid in (os.getpid(), dead, os.getppid()))
    for folder in (living, gone, old):
        folder.mkdir()
    long_ago = time.time() - 3 * 86_400
    os.utime(old, (long_ago, long_ago))
    for name in ("held", "left"):
        (tmp_path / name / "download").mkdir(parents=True)
    with (tmp_path / "held/lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        sweep(tmp_path)
    assert living.exists()
    assert not gone.exists()
    assert not old.exists(), "its number is another process's by now"
    assert (tmp_path / "held/download").exists()
    assert not (tmp_path / "left/download").exists()


@pytest.mark.parametrize("program", [KAFKA, ELASTICMQ])
def test_a_lock_is_of_its_program(program: JavaProgram) -> None:
    """Another version in the code without `make lock` is found here, not at the first start."""
    assert program.lock.source == program.source
    assert len({jar.name for jar in program.lock.jars}) == len(program.lock.jars) > 30
    assert str(JarLock.read(jars.LOCKS / f"{program.lock.name}.jars.lock")) == str(program.lock)


def test_every_lock_is_made_anew() -> None:
    """`make lock` writes each lock there is."""
    assert {program.lock.name for program in PROGRAMS} == {lock.name for lock in jars.locks()}


def test_a_missing_lock_says_who_makes_it() -> None:
    """A version that was changed alone."""
    with pytest.raises(SetupError, match="make lock"):
        JavaProgram("kafka", "0.0.1", "x").fetch(str)


def test_locks_of_other_contents_have_other_folders(served: list[str]) -> None:
    """Two checkouts of different versions never take each other's jars away."""
    assert lock_of(CONTENTS | {"part-0": b"newer"}).folder != LOCK.folder


def test_a_jars_place_is_its_name(tmp_path: Path) -> None:
    """Group, artifact, version and classifier are read from a repository's path, and written as they are read."""
    path = tmp_path / "org/x/native/1.2/native-1.2-linux.jar"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"jar")
    jar: Any = jar_at(path, tmp_path)
    assert (jar.group, jar.artifact, jar.version, jar.classifier) == ("org.x", "native", "1.2", "linux")
    assert jar.name == path.name
    assert Jar.parse(str(jar)) == jar
