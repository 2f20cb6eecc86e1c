"""A step on Redis is repeated until it is done, and only as long as waiting can help."""

from __future__ import annotations

import pytest

from processor.shell.patience import until_redis_answers
from schemas.runtime.errors import RedisUntrusted
from tests.support.parts import FakeClock


async def test_what_somebody_has_to_act_upon_is_not_waited_for() -> None:
    """Another installation's Redis, or two servers in use, do not cure themselves."""

    async def step() -> None:
        raise RedisUntrusted("two-servers", "the test says so")

    with pytest.raises(RedisUntrusted):
        await until_redis_answers(FakeClock(), step)
