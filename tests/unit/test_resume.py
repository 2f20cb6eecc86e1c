"""Where reading goes on: a commit counts only in the log that it was made for."""

from __future__ import annotations

import pytest

from processor.core.offsets import encode_settled
from processor.core.resume import METADATA_MAX, Committed, Log, Resume, replaced, resume, tagged


def test_a_commit_counts_in_its_own_log() -> None:
    """Also one by a processor that knew of neither topic ids nor leader epochs."""
    assert resume(Committed(7, "m1:x"), Log(9, "A", 5)) == Resume(7, "m1:x")
    assert resume(Committed(7, tagged("m1:x", "A"), 2), Log(7, "A", 2)) == Resume(7, "m1:x")
    assert resume(Committed(7, tagged("", "A"), 2), Log(7, "", -1)) == Resume(7, "")


def test_nothing_committed_is_no_reason_to_wonder() -> None:
    """A new group begins with the first record, and nobody is warned."""
    assert resume(Committed(-1001), Log(0)) == Resume(None)


@pytest.mark.parametrize(
    ("committed", "log"),
    [
        (Committed(8, "m1:x"), Log(7)),
        (Committed(7, tagged("m1:x", "A")), Log(9, "B")),
        (Committed(7, "m1:x", 2), Log(9, "A", 3)),
    ],
    ids=["the log is shorter", "another topic", "cut and grown again"],
)
def test_in_another_log_it_counts_for_nothing(committed: Committed, log: Log) -> None:
    """G2: neither the offset nor what is settled beyond it."""
    found = resume(committed, log)
    assert (found.offset, found.metadata) == (None, "")
    assert found.void


def test_what_is_settled_beyond_the_offset_is_held_against_the_log_as_well() -> None:
    """G2: a log that was cut between the two has other records where the metadata says that they are settled."""
    assert Committed(7).reach == 7
    assert Committed(7, tagged(encode_settled({9, 12}, 7), "A")).reach == 13


def test_the_topics_id_never_makes_metadata_too_long() -> None:
    """Kafka would refuse the whole transaction."""
    assert tagged("x" * METADATA_MAX, "A") == "x" * METADATA_MAX
    assert len(tagged("x" * (METADATA_MAX - 2), "A")) == METADATA_MAX


def test_a_broker_without_topic_ids_replaces_nothing() -> None:
    """Nobody is stopped for what cannot be known."""
    assert replaced("A", "B")
    assert not replaced("A", "A")
    assert not replaced("", "B")
    assert not replaced("A", "")
