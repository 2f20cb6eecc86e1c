"""infra/tools.sh forbids packages to start servers while it installs them, and takes that back however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.world import wait_for

SCRIPT = Path(__file__).parents[2] / "infra/tools.sh"
STUBS = {
    "id": "echo 0",
    # Installs until the test lets it: what it saw of the policy is its result.
    "apt-get": 'echo $$ >>"$WORK/begun"; cat "$POLICY_FILE" >>"$WORK/seen"; while [ ! -e "$WORK/go" ]; do sleep 0.02; done\n'
    'cat "$POLICY_FILE" >>"$WORK/at-end"; touch "$WORK/installed"',
    "chromium": '[ -e "$WORK/installed" ]',
}
NEEDED = ("sh", "ls", "dirname", "flock", "grep", "rm", "chmod", "cat", "sleep", "touch")


class Machine:
    """A folder that stands for a machine: stubs in PATH, and a policy file."""

    def __init__(self, folder: Path) -> None:
        self.work, self.policy = folder / "work", folder / "sbin/policy-rc.d"
        self.policy.parent.mkdir()
        self.work.mkdir()
        place = folder / "bin"
        place.mkdir()
        for name, text in STUBS.items():
            (place / name).write_text(f"#!/bin/sh\n{text}\n")
            (place / name).chmod(0o755)
        for name in NEEDED:
            found = next(Path(part, name) for part in ("/bin", "/usr/bin") if Path(part, name).exists())
            (place / name).symlink_to(found)
        self._env = {
            "PATH": str(place),
            "WORK": str(self.work),
            "POLICY_FILE": str(self.policy),
            "POSTGRESQL": str(folder / "none"),
        }
        self.runs: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        run = subprocess.Popen([str(SCRIPT)], env=self._env, stdout=subprocess.DEVNULL, start_new_session=True)
        self.runs.append(run)
        return run

    def begun(self) -> list[int]:
        place = self.work / "begun"
        return [int(pid) for pid in place.read_text().split()] if place.exists() else []

    def let_go(self) -> None:
        (self.work / "go").touch()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    if not Path("/usr/bin/flock").exists():
        pytest.skip("no flock here: infra/tools.sh is for Debian")
    machine = Machine(tmp_path)
    yield machine
    machine.let_go()
    for run in machine.runs:
        run.wait(60)


def test_the_policy_stands_while_packages_are_installed(machine: Machine) -> None:
    """No server starts by itself, and nothing is left."""
    machine.let_go()
    assert machine.start().wait(60) == 0
    assert "exit 101" in (machine.work / "seen").read_text()
    assert not machine.policy.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE])
@pytest.mark.parametrize("whom", ["the script", "the group"])
def test_an_interrupted_run_takes_the_policy_back(machine: Machine, number: int, whom: str) -> None:
    """Ctrl-C in a terminal, a kill, a closed terminal: what installs has ended, and the policy is gone."""
    run = machine.start()
    (installer,) = wait_for(machine.begun, "the installation")
    assert machine.policy.exists()
    (os.killpg if whom == "the group" else os.kill)(run.pid, number)
    assert run.wait(60) == 128 + number
    assert not machine.policy.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(installer, 0)


def test_what_a_killed_run_left_goes_with_the_next(machine: Machine) -> None:
    """Nothing can be done at SIGKILL itself."""
    run = machine.start()
    wait_for(machine.begun, "the installation")
    os.killpg(run.pid, signal.SIGKILL)
    run.wait(60)
    assert machine.policy.exists()
    machine.let_go()
    assert machine.start().wait(60) == 0
    assert not machine.policy.exists()


@pytest.mark.parametrize("interrupted", [False, True])
def test_somebody_elses_policy_stays(machine: Machine, interrupted: bool) -> None:
    """Containers come with one."""
    machine.policy.write_text("#!/bin/sh\nexit 101\n")
    run = machine.start()
    wait_for(machine.begun, "the installation")
    if interrupted:
        run.send_signal(signal.SIGTERM)
    else:
        machine.let_go()
    run.wait(60)
    assert machine.policy.read_text() == "#!/bin/sh\nexit 101\n"


def test_of_two_at_once_the_second_waits(machine: Machine) -> None:
    """The first to end would take away what the second relies on; each installs under the policy from end to end."""
    runs = [machine.start() for _ in range(2)]
    wait_for(machine.begun, "the first installation")
    machine.let_go()
    assert [run.wait(60) for run in runs] == [0, 0]
    begun = len(machine.begun())
    assert begun == 2
    assert (machine.work / "at-end").read_text().count("exit 101") == begun
    assert not machine.policy.exists()
