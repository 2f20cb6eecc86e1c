"""Which settings of older topics are changed, and in which order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.kept import kept_ms, loses, too_short
from processor.core.topic_changes import Change, begins_to_age, changes
from processor.ops.topics import Plan, refuse
from schemas.runtime.errors import UsageError
from schemas.topics import Topics

DAY_MS = 86_400_000
TOPICS = Topics("t-")
DEFAULTS = {
    "cleanup.policy": "delete",
    "retention.ms": str(7 * DAY_MS),
    "retention.bytes": "-1",
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": str(DAY_MS),
    "max.message.bytes": "1048588",
    "segment.bytes": "1073741824",
    "message.timestamp.type": "CreateTime",
}
PATIENT = {"min.compaction.lag.ms": str(35 * DAY_MS), "delete.retention.ms": str(35 * DAY_MS)}
OF_0_1 = {
    "t-jobs": {"cleanup.policy": "compact", **PATIENT},
    "t-attempts": {"cleanup.policy": "compact,delete", "retention.ms": str(35 * DAY_MS), **PATIENT},
    "t-deliveries": {"cleanup.policy": "compact", **PATIENT},
    "t-dead-letters": {"retention.ms": str(90 * DAY_MS)},
    "t-dead-letter-marks": {"cleanup.policy": "compact,delete", "retention.ms": str(90 * DAY_MS)},
    "t-suppressions": {"cleanup.policy": "compact", "delete.retention.ms": str(35 * DAY_MS)},
    "t-events": {"retention.ms": str(35 * DAY_MS)},
    "t-control": {"cleanup.policy": "compact", "segment.bytes": "1048576"},
}
Configs = dict[str, dict[str, str]]


def made_by_0_1(**changed: dict[str, str]) -> Configs:
    return {name: DEFAULTS | config | changed.get(name.removeprefix("t-"), {}) for name, config in OF_0_1.items()}


def done(configs: Configs, plan: list[Change]) -> Configs:
    after = {name: dict(config) for name, config in configs.items()}
    for change in plan:
        after[change.topic] |= {name: new for name, (_, new) in change.settings.items()}
    return after


def test_topics_of_0_1_become_as_new_ones_are() -> None:
    """In an order in which the ledger never goes before the jobs, whoever breaks it off where."""
    configs = made_by_0_1()
    plan = changes(TOPICS, configs)
    assert [change.topic for change in plan if begins_to_age(change)] == ["t-jobs", "t-deliveries"]
    assert [change.topic for change in plan][-2:] == ["t-jobs", "t-deliveries"]
    for count in range(len(plan) + 1):
        half = done(configs, plan[:count])
        assert not list(too_short(TOPICS, half))
        assert not any(loses(spec, half[spec.name]) for spec in TOPICS.specs())
    after = done(configs, plan)
    for spec in TOPICS.specs():
        wanted = {k: v for k, v in spec.config.items() if k not in {"segment.ms", "min.cleanable.dirty.ratio"}}
        assert after[spec.name].items() >= wanted.items()
    assert after["t-dead-letters"]["max.message.bytes"] == "2097152"
    assert changes(TOPICS, after) == []


def test_what_keeps_more_is_left() -> None:
    """Somebody wanted it so."""
    made = done(made_by_0_1(), changes(TOPICS, made_by_0_1()))
    for name, setting, value in (
        ("t-jobs", "segment.bytes", "1048576"),
        ("t-dead-letters", "max.message.bytes", "9000000"),
        ("t-deliveries", "retention.ms", str(900 * DAY_MS)),
        ("t-deliveries", "retention.ms", "-1"),
    ):
        assert changes(TOPICS, made | {name: made[name] | {setting: value}}) == []


def test_what_tells_of_a_job_follows_the_jobs() -> None:
    """Jobs that are kept for longer than new ones, or for ever: so is the rest."""
    made = done(made_by_0_1(), changes(TOPICS, made_by_0_1()))
    longer = made | {"t-jobs": made["t-jobs"] | {"retention.ms": str(600 * DAY_MS)}}
    assert {change.topic: change.kept_ms // DAY_MS for change in changes(TOPICS, longer)} == dict.fromkeys(
        TOPICS.telling, 635
    )
    ever = done(made, changes(TOPICS, made | {"t-jobs": made["t-jobs"] | {"retention.ms": "-1"}}))
    assert {ever[name]["retention.ms"] for name in TOPICS.telling} == {"-1"}
    sized = made | {"t-jobs": made["t-jobs"] | {"retention.bytes": "1000"}}
    assert [change.settings for change in changes(TOPICS, sized)] == [{"retention.bytes": ("1000", "-1")}]


ms = st.sampled_from([-1, 0, 7, 35, 90, 465, 500, 527, 900]).map(lambda days: str(days * DAY_MS if days >= 0 else -1))
policies = st.sampled_from(["compact", "delete", "compact,delete", "delete,compact"])
names = st.sampled_from(["jobs", "deliveries", "attempts"])


@given(st.dictionaries(names, st.fixed_dictionaries({"cleanup.policy": policies, "retention.ms": ms})))
def test_whatever_was_set_the_rules_hold_afterwards(changed: dict[str, dict[str, str]]) -> None:
    """And nothing that aged before is kept for a shorter time."""
    configs = made_by_0_1(**changed)
    after = done(configs, changes(TOPICS, configs))
    assert not list(too_short(TOPICS, after))
    assert not any(loses(spec, after[spec.name]) for spec in TOPICS.specs())
    for name, config in configs.items():
        if "delete" in config["cleanup.policy"] and name != "t-control":
            assert kept_ms(after[name]) >= kept_ms(config)


def test_nothing_goes_that_is_still_needed() -> None:
    """G1, G2: no record of a month that is open, no job without an outcome; keys that cannot be read hold nothing up."""
    going = {"t-jobs": Counter({"2025-05": 2, "": 1}), "t-deliveries": Counter({"2025-04": 1})}
    with pytest.raises(UsageError, match=r"2025-04, 2025-05 are older.*dedup floor"):
        refuse(Plan([], going))
    with pytest.raises(UsageError, match=r"of 2025-05 are older"):
        refuse(Plan([], going, "2025-05"))
    with pytest.raises(UsageError, match=r"1 jobs .* have no outcome: late:2025-05; .*--drain"):
        refuse(Plan([], going, "2025-06", [b"late:2025-05"]))
    refuse(Plan([], going, "2025-06"))
