"""Corrections hold once every process has shown that it has read them."""

from __future__ import annotations

from typing import Any

import pytest

from processor.core.control import Control
from processor.core.hearing import Hearing
from schemas.control import ControlRecord, Heartbeat


def beats(control: Control, beat: int, **about: Any) -> Heartbeat:
    """One more heartbeat of the process `p` in the topic."""
    heartbeat = Heartbeat(process="p", beat=beat, **about)
    control.take(ControlRecord(control.position, "process", "p", heartbeat), 0.0)
    return heartbeat


def hearing(**read: Any) -> tuple[Control, Hearing]:
    """Of a correction at 3:17, written at 100 s behind one heartbeat."""
    control = Control()
    beats(control, 1, **read)
    return control, Hearing(control, {3: 18}, 100.0)


def test_nobody_has_to_be_waited_for() -> None:
    """Without a processor a produce ends at once."""
    assert Hearing(Control(), {3: 18}, 100.0).listen(Control(), 100.0) == []


@pytest.mark.parametrize("read", [{3: 18}, {3: 99}, {2: 4}, {}])
def test_one_begun_since_shows_it(read: dict[int, int]) -> None:
    """G5: it has read the place, or does not read the partition; the first one appended since may have been begun before."""
    control, heard = hearing()
    since = control.position
    assert [one.beat for one in heard.listen(control, 101.0)] == [1]
    early = beats(control, 2, position=since, read=read)
    assert heard.listen(control, 101.0) == [early]
    beats(control, 3, position=control.position, read=read)
    assert heard.listen(control, 102.0) == []


def test_one_that_has_not_read_so_far_is_waited_for() -> None:
    """G5: it may claim for the older record, however long it beats."""
    control, heard = hearing()
    for beat in range(2, 9):
        beats(control, beat, position=control.position, read={3: 17})
        assert [one.beat for one in heard.listen(control, 100.0 + 9 * beat)] == [beat]
    beats(control, 9, position=control.position, read={3: 18})
    assert heard.listen(control, 200.0) == []


def test_the_silent_are_waited_for_as_long_as_they_may_be_current() -> None:
    """G5: by one's own clock, from the last heartbeat that was seen."""
    control, heard = hearing(current_s=10.0)
    assert heard.listen(control, 109.0)
    beats(control, 2, position=0, current_s=10.0)
    assert heard.listen(control, 109.5)
    assert heard.listen(control, 119.0)
    assert heard.listen(control, 119.6) == []


def test_one_that_has_ended_is_not_waited_for() -> None:
    """Nor one that came later, which reads to ends that it asks for later."""
    control, heard = hearing()
    control.take(ControlRecord(control.position, "process", "p", None), 0.0)
    control.take(ControlRecord(control.position, "process", "q", Heartbeat(process="q", beat=1)), 0.0)
    assert heard.listen(control, 100.0) == []
