"""Which other processes certainly call no more for what was known of them: by one's own heartbeats alone."""

from __future__ import annotations

from processor.core.control import Control
from processor.core.lapses import Lapses
from schemas.control import ControlRecord, Heartbeat

CURRENT_S = 10.0


def begun() -> Lapses:
    """Reading since 100; what was written before may have been compacted."""
    lapses = Lapses(CURRENT_S)
    lapses.read_back(99.0, 100.0)
    return lapses


def test_a_process_that_beats_is_not_silent() -> None:
    """G1: however long an intent of it has been waiting."""
    lapses = begun()
    for now_s in range(100, 200, 3):
        lapses.heard("p", now_s + 0.5, CURRENT_S)
        lapses.read_back(now_s + 1.0, now_s + 1.1)
    assert not lapses.never_calls("p", 101.0)
    assert not lapses.silent("p")


def test_silence_counts_up_to_a_heartbeat_of_our_own() -> None:
    """G1: its last heartbeat may keep it current for so long after we have read it."""
    lapses = begun()
    lapses.heard("p", 120.0, CURRENT_S)
    lapses.read_back(129.9, 131.0)
    assert not lapses.never_calls("p", 119.0)
    lapses.read_back(130.1, 131.2)
    assert lapses.never_calls("p", 130.1)
    assert not lapses.never_calls("p", 130.2), "it may have been heard by then where it is"
    assert lapses.silent("p")


def test_who_reads_late_takes_nobody_for_silent() -> None:
    """G1: what the other wrote before our heartbeat is read before that comes back, however late."""
    lapses = begun()
    lapses.heard("p", 120.0, CURRENT_S)
    # We stood still for a minute; its heartbeats come first, then ours of before, then one of now.
    lapses.heard("p", 180.0, CURRENT_S)
    lapses.read_back(121.0, 180.1)
    lapses.heard("p", 180.2, CURRENT_S)
    lapses.read_back(180.1, 180.3)
    assert not lapses.never_calls("p", 119.0)


def test_one_that_is_heard_again_has_lapsed_all_the_same() -> None:
    """What it intended before is never called for; what it intends now may be."""
    lapses = begun()
    lapses.heard("p", 120.0, CURRENT_S)
    lapses.read_back(135.0, 136.0)
    lapses.heard("p", 137.0, CURRENT_S)
    lapses.read_back(138.0, 139.0)
    assert lapses.never_calls("p", 135.0)
    assert not lapses.never_calls("p", 136.0)
    assert not lapses.silent("p")
    lapses.heard("p", 140.0, CURRENT_S)
    assert lapses.never_calls("p", 135.0)


def test_one_that_was_never_heard_may_be_current_yet_at_first() -> None:
    """Its heartbeat may have been compacted away right before we began to read."""
    lapses = Lapses(CURRENT_S)
    assert not lapses.never_calls("q", 0.0)
    lapses.read_back(99.0, 100.0)
    lapses.read_back(109.9, 110.0)
    assert not lapses.never_calls("q", 0.0)
    assert not lapses.silent("q")
    lapses.read_back(110.1, 110.2)
    assert lapses.never_calls("q", 110.1)
    assert not lapses.never_calls("q", 110.2)


def test_nothing_is_proven_by_a_topic_that_was_cut() -> None:
    lapses = begun()
    lapses.read_back(120.0, 121.0)
    assert lapses.never_calls("q", 1.0)
    lapses.forget()
    assert not lapses.never_calls("q", 1.0)
    lapses.read_back(130.0, 131.0)
    lapses.read_back(132.0, 133.0)
    assert not lapses.never_calls("q", 1.0), "the others' heartbeats may be among what was lost"
    lapses.read_back(141.1, 142.0)
    assert lapses.never_calls("q", 1.0)


def test_the_control_topic_tells() -> None:
    """A heartbeat and its end are heard, a topic that was cut proves nothing."""
    control = Control(lapses=begun())
    control.take(ControlRecord(0, "process", "p", Heartbeat(process="p", beat=1)), 120.0)
    control.lapses.read_back(125.0, 126.0)
    assert not control.lapses.never_calls("p", 1.0)
    control.take(ControlRecord(1, "process", "p", None), 127.0)
    control.lapses.read_back(136.0, 136.1)
    assert not control.lapses.never_calls("p", 1.0), "another heartbeat may have been compacted away before its end"
    control.lapses.read_back(137.1, 137.2)
    assert control.lapses.never_calls("p", 1.0)
    control.lost("cut")
    assert not control.lapses.never_calls("p", 1.0)
