"""What is to be changed of topics that an earlier version made, or that somebody changed since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from processor.core.kept import FOR_EVER_MS, kept_ms
from schemas.topics import PATIENCE_MS, Topics, TopicSpec

__all__ = ["Change", "begins_to_age", "changes"]

_AT_LEAST = ("min.compaction.lag.ms", "delete.retention.ms", "max.message.bytes")
_AT_MOST = ("segment.bytes",)
_AS_IT_IS = ("message.timestamp.type", "retention.bytes")


class Change(NamedTuple):
    """One topic's settings: each with what it is and what it becomes."""

    topic: str
    settings: dict[str, tuple[str, str]]
    kept_ms: int
    """how long records are kept from then on, in milliseconds"""


def changes(topics: Topics, configs: Mapping[str, dict[str, str]]) -> list[Change]:
    """What makes these topics as `topics create` makes new ones, in the order in which it is to be done.

    Nothing that is kept for longer is shortened, but what is kept for ever because it is compacted alone begins to age.
    At each step what tells of a job is kept for longer than the job: what grows comes first, then the jobs, then what
    begins to age.
    """
    specs = {spec.name: spec for spec in topics.specs()}
    jobs = configs[topics.jobs] | _new(_settings(specs[topics.jobs], configs[topics.jobs], 0))
    jobs_ms = kept_ms(jobs)
    told_ms = FOR_EVER_MS if jobs_ms == FOR_EVER_MS else jobs_ms + PATIENCE_MS
    found = []
    for name, config in configs.items():
        least_ms = told_ms if name in topics.telling else 0
        if settings := _settings(specs[name], config, least_ms):
            found.append(Change(name, settings, kept_ms(config | _new(settings))))
    return sorted(found, key=lambda change: 1 if change.topic == topics.jobs else 2 * begins_to_age(change))


def begins_to_age(change: Change) -> bool:
    """Whether records of the topic go from then on, of which none went before."""
    before, after = change.settings.get("cleanup.policy", ("", ""))
    return "delete" in after and "delete" not in before


def _new(settings: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    return {name: after for name, (_, after) in settings.items()}


def _settings(spec: TopicSpec, config: dict[str, str], least_ms: int) -> dict[str, tuple[str, str]]:
    """What differs where that matters; `least_ms` is how long the topic must keep records whatever its spec says."""
    wanted = spec.config
    found = {name: wanted[name] for name in _AS_IT_IS if name in wanted}
    found |= {name: _larger(wanted[name], config[name]) for name in _AT_LEAST if name in wanted}
    found |= {name: _smaller(wanted[name], config[name]) for name in _AT_MOST if name in wanted}
    if frozenset(config["cleanup.policy"].split(",")) != spec.cleanup_policy:
        found["cleanup.policy"] = wanted["cleanup.policy"]
    if "retention.ms" in wanted:
        aged = "delete" in config["cleanup.policy"].split(",")
        now_ms = kept_ms(config) if aged else 0
        kept = max(int(wanted["retention.ms"]), least_ms, now_ms)
        found["retention.ms"] = "-1" if kept >= FOR_EVER_MS else str(kept)
    return {name: (config[name], after) for name, after in found.items() if config[name] != after}


def _larger(wanted: str, found: str) -> str:
    return wanted if int(found) < int(wanted) else found


def _smaller(wanted: str, found: str) -> str:
    return wanted if int(found) > int(wanted) else found
