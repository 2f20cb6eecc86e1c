"""A forked process of the tests is what ``python -m`` would have made: else they would test something else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import processes
from tests.support.fork_server import START
from tests.support.world import ROOT, WAIT_S, wait_for

pytestmark = pytest.mark.skipif(not processes.FORKS, reason="no fork server here")

ENDINGS = {
    "falls off its end": "print('out'); print('err', file=sys.stderr)",
    "exits": "sys.exit(7)",
    "exits with none": "sys.exit()",
    "exits with words": "sys.exit('words')",
    "exits beyond a byte": "sys.exit(300)",
    "raises": "raise ValueError('wrong')",
    "is interrupted": "raise KeyboardInterrupt",
    "leaves at once": "os._exit(5)",
    "has a hook": "import atexit; atexit.register(print, 'last'); print('first')",
    "has a thread": "import threading; threading.Timer(0.05, print, ['late']).start()",
    "dies": "os.kill(os.getpid(), signal.SIGKILL)",
    "cannot write": "os.close(1); print('lost')",
}
"""Programs by how they end."""

FACTS = """
import asyncio, json, locale, logging, random, threading, time, warnings
print(json.dumps({
    "argv": sys.argv[1:], "cwd": os.getcwd(), "path": sys.path[0], "env": dict(os.environ), "name": __name__,
    "main": sys.modules["__main__"].__dict__ is globals(), "input": sys.stdin.read(), "tty": sys.stdout.isatty(),
    "signals": {n.name: str(signal.getsignal(n)) for n in signal.Signals}, "flags": str(sys.flags),
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "local": time.strftime("%H %Z", time.localtime(0)),
    "encodings": [sys.stdout.encoding, sys.stderr.errors, sys.getfilesystemencoding()], "umask": os.umask(0),
    "locale": locale.setlocale(locale.LC_ALL), "threads": threading.active_count(), "handlers": str(logging.root.handlers),
    "loops": type(asyncio.get_event_loop_policy()).__name__, "hooks": [sys.excepthook is sys.__excepthook__,
    threading.excepthook.__name__], "buffered": sys.stdout.line_buffering, "open": len(os.listdir("/proc/self/fd")),
}))
"""


def both(folder: Path, program: str, *args: str, **env: str) -> list[subprocess.CompletedProcess[str]]:
    """The program by exec and by fork."""
    (folder / "program_of_a_test.py").write_text(f"import os, signal, sys\n{program}\n")
    command = [sys.executable, "-m", "program_of_a_test", *args]
    environment = {**os.environ, **env}
    by_exec = subprocess.run(
        command,
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return [by_exec, processes.run(command, environment, folder=folder)]


def program(folder: Path, text: str, **options: Any) -> tuple[processes.Forked, Path]:
    """A forked program, running, and its log."""
    (folder / "program_of_a_test.py").write_text(f"import os, sys, time\n{text}\n")
    log = folder / "log"
    with log.open("ab") as out:
        process = processes.start(
            [sys.executable, "-m", "program_of_a_test"], os.environ, out, folder=folder, **options
        )
    assert isinstance(process, processes.Forked)
    return process, log


@pytest.mark.parametrize("how", ENDINGS)
def test_a_child_ends_as_its_like_by_exec(tmp_path: Path, how: str) -> None:
    """Exit code or signal, output, and the last line of a traceback."""
    by_exec, by_fork = both(tmp_path, ENDINGS[how])
    assert (by_fork.returncode, by_fork.stdout) == (by_exec.returncode, by_exec.stdout)
    assert by_fork.stderr.splitlines()[-1:] == by_exec.stderr.splitlines()[-1:]


def test_a_child_finds_what_its_like_finds(tmp_path: Path) -> None:
    """Nothing of the server's imports or of its own start shows: not in signals, hooks, streams or loops."""
    by_exec, by_fork = both(tmp_path, FACTS, "one", "--two", TZ="Pacific/Kiritimati", ONLY_HERE="é")
    expected, found = json.loads(by_exec.stdout), json.loads(by_fork.stdout)
    assert found == expected
    assert expected["local"] != "00 UTC"


def test_children_have_chances_of_their_own(tmp_path: Path) -> None:
    """Two processes that drew the same numbers would make the same ids."""
    text = "import random, uuid; print(random.random(), uuid.uuid4(), os.urandom(4).hex())"
    first, second = (both(tmp_path, text)[1].stdout.split() for _ in range(2))
    assert not set(first) & set(second)


def test_a_child_can_be_stopped_continued_and_killed(tmp_path: Path) -> None:
    """What tests do to processors: each is a process of its own."""
    process, _ = program(tmp_path, "time.sleep(1000)")
    at = psutil.Process(process.pid)
    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: at.status() == psutil.STATUS_STOPPED, "the stop")
    assert process.poll() is None
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: at.status() != psutil.STATUS_STOPPED, "going on")
    process.terminate()
    assert process.wait(WAIT_S) == -signal.SIGTERM
    process.kill()
    assert process.wait() == -signal.SIGTERM, "a signal after the end changes nothing"


def test_a_limit_is_kept_and_the_end_is_told_once_it_comes(tmp_path: Path) -> None:
    """As ``subprocess`` has it."""
    process, log = program(
        tmp_path, "print('here', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nsys.exit(3)"
    )
    wait_for(log.read_text, "its first words")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    (tmp_path / "go").touch()
    assert process.wait(WAIT_S) == 3
    assert process.returncode == 3


def test_a_session_of_its_own_when_asked(tmp_path: Path) -> None:
    """Servers outlive a Ctrl-C that is meant for who started them."""
    process, log = program(tmp_path, "print(os.getsid(0) == os.getpid())", new_session=True)
    assert process.wait(WAIT_S) == 0
    assert log.read_text() == "True\n"


def test_a_child_ends_with_whoever_asked_for_it(tmp_path: Path) -> None:
    """A worker of the tests that is killed leaves nothing behind."""
    text = (
        "from tests.support import processes\n"
        "child = processes.start([sys.executable, '-m', 'program_of_a_test', 'child'], os.environ, open('log', 'ab'), folder=os.getcwd())\n"
        "print(child.pid, flush=True)\n"
    )
    (tmp_path / "program_of_a_test.py").write_text(
        f"import os, sys, time\nsys.path.append({str(ROOT)!r})\nif not sys.argv[1:]:\n{_indented(text)}\ntime.sleep(1000)\n"
    )
    asker = subprocess.Popen([sys.executable, "-m", "program_of_a_test"], cwd=tmp_path, stdout=subprocess.PIPE)
    assert asker.stdout
    with asker.stdout:
        child = psutil.Process(int(asker.stdout.readline()))
    asker.kill()
    asker.wait(WAIT_S)
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the child's end")


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


@pytest.mark.parametrize("name", START)
def test_what_matters_at_the_start_is_given_by_exec(tmp_path: Path, name: str) -> None:
    """A variable that Python or the loader reads once: the process is no fork."""
    log = tmp_path / "log"
    command = [sys.executable, "-m", "json.tool", "--help"]
    with log.open("ab") as out:
        process = processes.start(command, {**os.environ, f"{name}_OF_A_TEST": "1"}, out)
    assert isinstance(process, subprocess.Popen)
    assert process.wait(WAIT_S) == 0
