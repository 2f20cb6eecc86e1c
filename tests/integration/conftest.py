"""A broker to be mistreated: one for all tests that do so, in one worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded import Stack
from tests.support.cluster import OwnKafka
from tests.support.sandbox import SandboxAdmin
from tests.support.world import World


@pytest.fixture(scope="session")
def own(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnKafka]:
    own = OwnKafka(tmp_path_factory.mktemp("broker"), stack)
    yield own
    own.close()


@pytest.fixture
def on_own(own: OwnKafka, sandbox: SandboxAdmin, tmp_path: Path) -> Iterator[World]:
    """A world on that broker, which is healed of what the test before did to it."""
    own.heal()
    world = own.world(sandbox, tmp_path)
    yield world
    world.close()
