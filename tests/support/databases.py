"""What every database is held to as a source: a month of 299 good rows and one without an address."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.support.world import MONTH, World

__all__ = ["answers", "publish_twice_and_send"]


def answers(connect: Callable[[], Any], refusal: type[Exception]) -> bool:
    """Whether a server that is starting lets anybody in yet."""
    try:
        connect().close()
    except refusal:
        return False
    return True


def publish_twice_and_send(world: World, source: str) -> dict[str, str]:
    """Published, run again, sent; returns each mail's text by its address."""
    args = ("produce", "--month", MONTH, "--source", source, "--json")
    facts = json.loads(world.run(*args, ok=(3,)).stdout)
    assert (facts["published"], facts["rejected_by_reason"]) == (299, {"missing-email": 1})
    assert json.loads(world.run(*args, ok=(3,)).stdout)["unchanged"] == 299
    world.drain()
    texts = {mail.to[0]: mail.text for mail in world.sandbox.accepted()}
    assert len(texts) == 299
    return texts
