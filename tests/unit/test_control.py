"""What the control topic says, folded; and when a process may call SES by it."""

from __future__ import annotations

import pytest

from processor.core.control import NO_TENURE, Control, Presence, Tenure, begin_lineage
from processor.core.months import noting
from schemas.codec import encode
from schemas.control import (
    Brake,
    Content,
    ControlRecord,
    Figures,
    Floor,
    Heartbeat,
    Installation,
    Lineage,
    MonthOpened,
    control_key,
    decode_control,
)
from schemas.runtime.errors import BadRecord

NOW_S = 100.0


class Topic:
    """A control topic that is written and read in one."""

    def __init__(self) -> None:
        self.control = Control("topic-1")
        self.offset = 0

    def write(self, content: Content, now_s: float = NOW_S) -> None:
        self._take(control_key(content), encode(content), now_s)

    def remove(self, key: str) -> None:
        self._take(key.encode(), None, NOW_S)

    def _take(self, key: bytes, value: bytes | None, now_s: float) -> None:
        record = decode_control(self.offset, key, value)
        assert record is not None
        self.control.take(record, now_s)
        self.offset += 1


@pytest.fixture
def topic() -> Topic:
    return Topic()


def beat(process: str = "p", number: int = 1, **about: object) -> Heartbeat:
    return Heartbeat(process=process, beat=number, instance=f"i-{process}", **about)  # type: ignore[arg-type]


# ---- records ----

EACH: list[Content] = [
    beat(read={3: 17}, lineage="l", current_s=5.0),
    Installation(id="i", topics={"email-jobs": "x"}),
    Lineage(id="l", server="r"),
    MonthOpened(month="2026-11", partitions=12, begins={"email-jobs": [0, 5]}),
    MonthOpened(month="2026-12", partitions=12, figures=Figures(jobs=3, id_forms=["a-9"])),
    Floor(month="2025-01"),
    Brake(paused={"2026-11": "why"}, rate_max=5.0),
]


@pytest.mark.parametrize("content", EACH, ids=lambda content: type(content).__name__)
def test_each_record_comes_back_as_it_was(content: Content) -> None:
    """What one process writes another reads."""
    record = decode_control(7, control_key(content), encode(content))
    assert record is not None
    assert (record.offset, record.content) == (7, content)


def test_what_is_not_known_is_passed_over() -> None:
    """A later version may say more."""
    assert decode_control(0, b"weather", b"{}") is None
    assert decode_control(0, None, b"{}") is None


@pytest.mark.parametrize("value", [b"{", b'{"v":2,"id":"x"}', b'{"id":7}'])
def test_what_cannot_be_read_is_named(value: bytes) -> None:
    """With its place; never a traceback."""
    with pytest.raises(BadRecord, match="lineage"):
        decode_control(4, b"lineage:x", value)


# ---- the fold ----


def test_the_newest_lineage_is_the_last_that_was_begun(topic: Topic) -> None:
    """Compaction keeps the order."""
    assert topic.control.newest == ""
    for name in ("a", "b", "a"):
        topic.write(Lineage(id=name))
    assert topic.control.newest == "a"
    topic.remove("lineage:a")
    assert topic.control.newest == "b"
    topic.remove("lineage:b")
    assert topic.control.newest == ""
    assert topic.control.position == 5


def test_a_lineage_takes_the_oldest_away(topic: Topic) -> None:
    """The topic does not grow by one record for each restart of Redis."""
    for number in range(12):
        topic.write(Lineage(id=f"l{number}"))
    records = begin_lineage(topic.control, Lineage(id="new"))
    assert records[0] == (b"lineage:new", Lineage(id="new"))
    assert [key for key, content in records if content is None] == [f"lineage:l{n}".encode() for n in range(5)]


def test_the_first_record_of_a_month_stands(topic: Topic) -> None:
    """Its keys do not move when partitions are added."""
    topic.write(MonthOpened(month="2026-11", partitions=4))
    topic.write(MonthOpened(month="2026-11", partitions=8))
    assert topic.control.months["2026-11"].partitions == 4


def test_a_months_figures_are_the_last_ones(topic: Topic) -> None:
    """Its producer writes them when it has ended; nothing else of the month changes, and who knows of none keeps them."""
    topic.write(MonthOpened(month="2026-11", partitions=4))
    for jobs in (7, 9):
        records = noting(topic.control, "2026-11", Figures(jobs=jobs))
        assert records == [(b"month:2026-11", MonthOpened(month="2026-11", partitions=4, figures=Figures(jobs=jobs)))]
        topic.write(MonthOpened(month="2026-11", partitions=8, figures=Figures(jobs=jobs)))
    topic.write(MonthOpened(month="2026-11", partitions=4))
    opened = topic.control.months["2026-11"]
    assert (opened.partitions, opened.figures) == (4, Figures(jobs=9))
    assert noting(topic.control, "2026-11", Figures(jobs=9)) == []
    assert noting(topic.control, "2026-12", Figures(jobs=9)) == []


def test_the_floor_only_rises(topic: Topic) -> None:
    """What was closed stays closed."""
    for month in ("2025-03", "2025-01"):
        topic.write(Floor(month=month))
    assert topic.control.floor == Floor(month="2025-03")


def test_brake_and_installation_are_the_last_ones(topic: Topic) -> None:
    """An operator's word replaces the one before; an unknown tombstone is nothing."""
    topic.write(Brake(rate_max=3.0))
    topic.write(Installation(id="one"))
    topic.write(Installation(id="two"))
    topic.remove("month:2026-11")
    assert (topic.control.brake.rate_max, topic.control.installation) == (3.0, Installation(id="two"))


# ---- the others ----


def test_who_uses_the_newest_lineage_is_known(topic: Topic) -> None:
    """While they are current, and of those that name it alone; oneself does not count."""
    topic.write(Lineage(id="l"))
    topic.write(beat("me", lineage="l"))
    topic.write(beat("uses", lineage="l", granted=7))
    topic.write(beat("lost", granted=9))
    control = topic.control
    assert [other.heartbeat.process for other in control.users_of_newest("me", NOW_S + 10)] == ["uses"]
    assert control.users_of_newest("me", NOW_S + 10.1) == []
    assert control.granted() == 7
    topic.remove("process:uses")
    assert control.users_of_newest("me", NOW_S) == []
    assert Control().users_of_newest("me", NOW_S) == []


def test_who_has_not_heard_of_a_lineage_is_known(topic: Topic) -> None:
    """Whatever the age of the heartbeat; and how long each may call on the strength of it."""
    topic.write(beat("me"))
    topic.write(beat("knows", knows="l"), now_s=0.0)
    topic.write(beat("old", knows="k", current_s=20.0), now_s=0.0)
    control = topic.control
    assert [other.heartbeat.process for other in control.unaware("l", "me")] == ["old"]
    control.lapses.read_back(0.0, 0.0)
    control.lapses.read_back(21.0, 21.0)
    assert control.unaware("l", "me") == [], "it has lapsed: it reads of the lineage before it calls again"
    assert control.longest_current_s("me") == 20.0
    assert Control().longest_current_s("me") == 10.0
    assert [other.heartbeat.process for other in control.silent("me", 60.0, 60.0)] == ["knows", "old"]


# ---- a topic that was lost ----


@pytest.mark.parametrize(
    ("heartbeat", "said"),
    [
        (beat(position=50), "cut"),
        (beat(lineage="elsewhere"), "lacks"),
        (beat(topic_id="topic-2"), "another topic"),
    ],
    ids=["cut", "an unknown lineage", "another topic"],
)
def test_a_topic_that_was_lost_or_restored_is_noticed(topic: Topic, heartbeat: Heartbeat, said: str) -> None:
    """G1: what it no longer holds may have been a lineage; nobody is current until one is begun."""
    me = present(topic, "me")
    assert me.tenure(topic.control, NOW_S) is not None
    topic.write(heartbeat)
    assert said in topic.control.broken
    assert me.tenure(topic.control, NOW_S) is None
    topic.write(Lineage(id="new"))
    assert me.tenure(topic.control, NOW_S) == Tenure("new", 1)
    topic.control.lost("out of range")
    assert me.tenure(topic.control, NOW_S) is None


# ---- presence ----


def present(topic: Topic, process: str) -> Presence:
    """Current at `NOW_S`, under the lineage ``l``."""
    topic.write(Lineage(id="l"))
    me = Presence(process)
    me.read_back(me.beats(NOW_S), NOW_S)
    return me


def test_one_is_current_from_the_writing_of_a_heartbeat_that_came_back(topic: Topic) -> None:
    """Not from its coming back: whoever waits counts from a time before."""
    topic.write(Lineage(id="l"))
    me = Presence("me")
    assert me.tenure(topic.control, NOW_S) is None
    number = me.beats(NOW_S)
    assert not me.current(NOW_S), "a client cannot tell a frozen broker from a quiet topic"
    assert me.waits_since(NOW_S + 4) == 4
    me.read_back(number, NOW_S + 4)
    assert me.waits_since(NOW_S + 4) == 0
    assert me.current(NOW_S + 10)
    assert not me.current(NOW_S + 10.1)


def test_without_a_lineage_nobody_calls() -> None:
    """A heartbeat alone is no set that one could rely on."""
    me = Presence("me")
    me.read_back(me.beats(NOW_S), NOW_S)
    assert me.tenure(Control(), NOW_S) is None


def test_a_lapse_ends_the_tenure(topic: Topic) -> None:
    """G1: whoever was not current for a moment may have been waited out, and knows nothing of what came then."""
    me = present(topic, "me")
    first = me.tenure(topic.control, NOW_S)
    assert first is not None
    second = me.beats(NOW_S + 5)
    me.read_back(second, NOW_S + 6)
    assert me.tenure(topic.control, NOW_S + 15) == first, "one heartbeat after the other: no gap"
    me.read_back(me.beats(NOW_S + 16), NOW_S + 16)
    again = me.tenure(topic.control, NOW_S + 16)
    assert again is not None
    assert again != first
    assert not me.allows(first, topic.control, NOW_S + 16)
    assert me.allows(again, topic.control, NOW_S + 16)


def test_a_newer_lineage_ends_the_tenure(topic: Topic) -> None:
    """G1: a claim of an older set is worth nothing."""
    me = present(topic, "me")
    first = me.tenure(topic.control, NOW_S)
    assert first is not None
    topic.write(Lineage(id="newer"))
    assert not me.allows(first, topic.control, NOW_S)
    assert not me.allows(NO_TENURE, topic.control, NOW_S)


def test_a_late_heartbeat_does_not_shorten(topic: Topic) -> None:
    """One that comes back after a newer one, or twice, or was never written, says nothing."""
    me = present(topic, "me")
    older, newer = me.beats(NOW_S + 1), me.beats(NOW_S + 2)
    for number in (newer, older, newer, 99):
        me.read_back(number, NOW_S + 3)
    assert me.current(NOW_S + 12)
    assert not me.current(NOW_S + 12.1)


def test_a_heartbeat_that_came_too_late_is_a_lapse(topic: Topic) -> None:
    """It was written so long ago that it is worth nothing any more."""
    me = present(topic, "me")
    number = me.beats(NOW_S + 1)
    me.read_back(number, NOW_S + 30)
    assert not me.current(NOW_S + 30)


def test_records_of_other_kinds_have_no_content() -> None:
    """A tombstone of a process that is not known is taken in silence."""
    control = Control()
    control.take(ControlRecord(3, "process", "nobody", None), NOW_S)
    assert control.position == 4
