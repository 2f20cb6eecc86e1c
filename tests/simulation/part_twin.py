"""A simulated process's part in the installation: as `processor.recovery.part`, on simulated servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processor.adapters.installation import check_installation
from processor.core.adoption import Places
from processor.recovery.follow import CheckpointFollower
from processor.recovery.lineage import Lineages
from processor.recovery.part import under
from processor.recovery.withdraw import Withdrawals
from processor.shell.control import ControlFollower, Me, Timing
from tests.simulation.control_log import SimControlLog
from tests.simulation.reading_twin import SimWriter
from tests.simulation.redis_twin import SimDedup

if TYPE_CHECKING:
    from tests.simulation.process import Process

__all__ = ["Taking", "places_now"]

TIMING = Timing(beat_s=0.8, current_s=2.4, silent_s=8.0, hanging_s=1.2, server_s=0.3, read_s=1.0)


class Taking:
    """As `processor.recovery.part.Part`."""

    def __init__(self, process: Process) -> None:
        world, settings, clock = process.world, process.world.settings, process.clock
        self.process = process
        self.dedup: Any = SimDedup(world.redis, process.address)
        self.control_log = SimControlLog(process.kafka, settings.topics.control)
        me = Me(process.instance, process.instance)
        self.follower = ControlFollower(self.control_log, self.dedup, clock, me, TIMING)
        self.dedup.under = lambda: under(self.follower.control)
        writer: Any = SimWriter(settings, f"checkpoint-{process.instance}")
        withdrawals = Withdrawals(settings, self.dedup, self.follower, clock, writer, process.instance)
        self.checkpoint = CheckpointFollower(settings, self.dedup, self.follower, clock, withdrawals)
        self.lineages = Lineages(settings, self.dedup, self.control_log, self.follower, clock, process.instance)

    def check(self) -> None:
        places = places_now(self.process)
        check_installation(self.follower.control.installation, places, self.process.world.settings.topics.control)


def places_now(process: Process) -> Places:
    """As `processor.adapters.installation.places_now`."""
    kafka, topics = process.kafka, process.world.settings.topics
    names = (topics.control, topics.jobs, topics.attempts, topics.deliveries)
    return Places(kafka.name, {name: kafka.topic_id(name) for name in names})
