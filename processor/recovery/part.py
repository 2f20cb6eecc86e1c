"""A process's part in the installation: it is heard in the control topic, and can vouch for the dedup set."""

from __future__ import annotations

import redis.asyncio
from confluent_kafka.admin import AdminClient

from processor.adapters.clock import SystemClock
from processor.adapters.control import KafkaControl
from processor.adapters.installation import Places, check_installation, check_set, places_now
from processor.adapters.redis import RedisDedup, Under
from processor.adapters.write import TransactionalWriter
from processor.core.control import Control
from processor.recovery.follow import CheckpointFollower
from processor.recovery.lineage import Lineages
from processor.recovery.withdraw import Withdrawals
from processor.shell.control import ControlFollower, Me
from schemas.control import Installation
from schemas.kafka.clients import admin_config, transactional_config
from schemas.runtime.ending import in_thread
from schemas.runtime.settings import Settings

__all__ = ["Part", "refuse_foreign", "under"]


def under(control: Control) -> Under:
    """What a script must find in the marker before it grants anything."""
    ours = control.installation
    return Under(ours.id if ours else "", control.newest, control.granted())


class Part:
    """From `start` to `stop` this process is one of those that the others wait for."""

    def __init__(self, settings: Settings, client: redis.asyncio.Redis, instance: str) -> None:
        self._settings = settings
        self._admin = AdminClient(admin_config(settings))
        """one for all looks: each would open connections of its own"""
        self.control_log = KafkaControl(settings)
        clock = SystemClock()
        self.dedup = RedisDedup.of(settings, client)
        transactional_id = transactional_config(settings, instance)["transactional.id"]
        self.follower = ControlFollower(self.control_log, self.dedup, clock, Me(instance, transactional_id))
        self.dedup.under = lambda: under(self.follower.control)
        writer = TransactionalWriter(settings, f"checkpoint-{instance}")
        withdrawals = Withdrawals(settings, self.dedup, self.follower, clock, writer, instance)
        self.checkpoint = CheckpointFollower(settings, self.dedup, self.follower, clock, withdrawals)
        self.lineages = Lineages(settings, self.dedup, self.control_log, self.follower, clock, instance)

    async def start(self) -> None:
        """Returns once this process is current. Raises `BrokerUnavailable` and `InstallationForeign`."""
        places = await self.join()
        check_installation(self.follower.control.installation, places, self._settings.topics.control)

    async def join(self) -> Places:
        """As `start`, whatever cluster and topics these are: only for who adopts them. Returns which they are."""
        places = await in_thread(places_now, self._settings, self._admin)
        self.follower.knows_topic(places.topics.get(self._settings.topics.control, ""))
        await self.follower.start(self._settings.patience_s)
        return places

    async def check(self) -> None:
        """Asked now and then while it runs. Raises as `start` does, and `RedisForeign`."""
        await refuse_foreign(self._settings, self.dedup, self.follower.control, self._admin)

    async def stop(self) -> None:
        await self.follower.stop()


async def refuse_foreign(
    settings: Settings, dedup: RedisDedup, control: Control, client: AdminClient | None = None
) -> Installation:
    """The installation, where cluster, topics and dedup set are its own.

    Raises `InstallationForeign`, `RedisForeign`, `BrokerUnavailable` and `RedisUnavailable`.
    """
    places = await in_thread(places_now, settings, client)
    ours = check_installation(control.installation, places, settings.topics.control)
    check_set(ours, await dedup.server())
    return ours
