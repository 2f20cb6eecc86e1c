"""The shared stack (one a session) and each test's own world on it."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

from infra.embedded import Stack
from tests.support import hung, processes
from tests.support.container_stack import ContainerStack, chosen_stack
from tests.support.feed import connected
from tests.support.sandbox import SandboxAdmin
from tests.support.stack import SessionStack, common_of
from tests.support.world import LONG, SHORT, Lives, World, make_world

# A busy machine is no failure of a property. `make test` gives the same answer twice; `make test-all` looks for news.
hypothesis.settings.register_profile(
    "mailonce", deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("same", hypothesis.settings.get_profile("mailonce"), derandomize=True)
hypothesis.settings.load_profile("mailonce" if os.environ.get("MAILONCE_TEST_RANDOM") else "same")

SLOW = {"integration", "contracts", "chaos", "fuzz", "browser"}
UNTRACED = {"setup"}
"""Folders whose tests run nothing that is measured: coverage's tracer would double their time."""


MISTREATED = "own"
"""The fixture of a broker that tests kill and freeze, one after the other."""

TEST_S = 900.0
"""Ends a test that hangs; some take a minute on two quiet cores."""

# Said in the summary; by default embedded servers, or containers where an engine answers.
STACK = chosen_stack(os.environ.get("MAILONCE_TEST_STACK", "auto"))
COMMON = os.environ.get("MAILONCE_TEST_COMMON", "")
"""The folder of another session's servers that this one may use (`tests.mutants`)."""


MARKERS = (
    "long: takes a minute, or what few have installed: left out unless asked for (`make test-all`)",
    "short_lives: its processors' sessions, signatures and claims expire in seconds, because it waits for that",
)


TRIED = {signal.SIGINT: signal.default_int_handler, signal.SIGQUIT: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
"""Signals that tests send, and what they do by default."""


def pytest_configure(config: pytest.Config) -> None:
    # A shell's job in the background ignores some, `nohup` another: what we start would inherit that.
    for number, handler in TRIED.items():
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    named = config.args_source is pytest.Config.ArgsSource.ARGS  # in xdist's workers always
    if not named and not config.option.markexpr:
        config.option.markexpr = "not long"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"servers: {STACK}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if report.failed and call.when == "call":
        hung.tell(item, report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    # pytest-cov takes a worker of xdist for the master first (pytest-cov#667), and leaves that tracer running below its
    # own: all would be traced twice, and what is marked `no_cover` once.
    cov = session.config.pluginmanager.getplugin("_cov")
    if hasattr(session.config, "workerinput") and cov is not None and cov.cov_controller is not None:
        cov.cov_controller.pause()


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        parts = set(Path(item.fspath).parts)
        if SLOW & parts:
            item.add_marker(pytest.mark.slow)
        if UNTRACED & parts:
            item.add_marker("no_cover")
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_S))
        fixtures = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009 - pytest's own, and not public
        if MISTREATED in fixtures:
            item.add_marker(pytest.mark.xdist_group(MISTREATED))
        elif shared := sorted(name for name, known in fixtures.items() if any(one.scope == "module" for one in known)):
            # What a module starts once, it starts in one worker; all other tests go wherever there is time.
            item.add_marker(pytest.mark.xdist_group(f"{item.fspath}:{','.join(shared)}"))
    # Those go one after the other, and so begin first.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """No setting of the developer's shell reaches a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("MAILONCE_", "AWS_")) and name != "AWS_CA_BUNDLE":
                patch.delenv(name)
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "sandbox")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "sandbox")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_logger_is_kept() -> Iterator[None]:
    """A logger that is kept would go on writing to the stream that a test had in place of standard error."""
    configure = structlog.configure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", lambda **how: configure(**how | {"cache_logger_on_first_use": False}))
        yield


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """How a test sets the logs up ends with it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    processes.warm()
    folder = tmp_path_factory.mktemp("stack")
    stack = ContainerStack(folder) if STACK == "containers" else SessionStack(folder, Path(COMMON or common_of(folder)))
    try:
        stack.up(("kafka", "valkey", "ses"))
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="session")
def sandbox(stack: Stack) -> SandboxAdmin:
    return SandboxAdmin(stack.env()["AWS_ENDPOINT_URL_SESV2"], stack.folder / "ses")


@pytest.fixture
def lives(request: pytest.FixtureRequest) -> Lives:
    return SHORT if request.node.get_closest_marker("short_lives") else LONG


@pytest.fixture
def world(stack: Stack, sandbox: SandboxAdmin, tmp_path: Path, lives: Lives) -> Iterator[World]:
    world = make_world(stack.env(), sandbox, tmp_path, lives)
    try:
        yield world
    finally:
        world.close()
        world.remove_topics()


@pytest.fixture
def feed(world: World, stack: Stack) -> Iterator[Any]:
    """SES's events of the test's world, in a queue of their own; the SQS client."""
    with connected(world, stack) as sqs:
        yield sqs
