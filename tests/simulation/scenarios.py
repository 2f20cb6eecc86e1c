"""Histories that break a promise, each by name: what happens, what must be found, and the rule that forbids it.

They are the work list. A cure turns its scenario: the finding is gone, the test that expects it fails, and the entry
moves to `KEPT`, the histories that must stay good.
"""

from __future__ import annotations

from tests.simulation import (
    scenarios_adoption,
    scenarios_answers,
    scenarios_checkpoint,
    scenarios_events,
    scenarios_floor,
    scenarios_kafka,
    scenarios_kept,
    scenarios_latest,
    scenarios_many,
    scenarios_months,
    scenarios_presence,
    scenarios_rebuild,
    scenarios_redis,
    scenarios_settling,
    scenarios_unknown,
    scenarios_withdraw,
)
from tests.simulation.story import KEPT, SCENARIOS, Scenario, play

__all__ = ["KEPT", "SCENARIOS", "Scenario", "play"]

TOLD_IN = (
    scenarios_redis,
    scenarios_presence,
    scenarios_rebuild,
    scenarios_floor,
    scenarios_kafka,
    scenarios_kept,
    scenarios_months,
    scenarios_latest,
    scenarios_many,
    scenarios_adoption,
    scenarios_answers,
    scenarios_events,
    scenarios_settling,
    scenarios_unknown,
    scenarios_checkpoint,
    scenarios_withdraw,
)
""""Each adds its own to `SCENARIOS` when it is imported."""
