"""Out-of-order completion: what may be committed, and what a successor is told of the rest."""

from __future__ import annotations

import base64
import random
import zlib

from processor.core.offsets import METADATA_BYTES_MAX, SPAN_MAX, Window, decode_settled, encode_settled


def test_the_prefix_ends_at_the_first_unsettled_record() -> None:
    """G2: nothing unsettled is ever committed past."""
    window = Window(10)
    assert all(window.add(offset) for offset in (10, 11, 12))
    assert window.size == 3
    window.settle(11)
    assert window.to_commit()[0] == 10
    window.settle(10)
    assert window.to_commit() == (12, "")
    window.settle(12)
    assert window.prefix == 13
    assert window.idle


def test_settling_again_changes_nothing() -> None:
    """A corrected outcome belongs to a record that was settled before."""
    window = Window(0)
    window.add(0)
    window.settle(0)
    window.committed(1)
    window.settle(0)
    assert not window.dirty
    assert window.to_commit() == (1, "")


def test_what_is_settled_beyond_the_prefix_survives_a_crash() -> None:
    """G2: a successor neither repeats nor forgets what was settled out of order."""
    window = Window(0)
    for offset in (0, 1, 5, 6):
        window.add(offset)
    window.settle(1)
    window.settle(6)
    successor = Window(*window.to_commit())
    assert [offset for offset in (0, 1, 5, 6) if successor.add(offset)] == [0, 5]
    successor.settle(0)
    successor.settle(5)
    assert successor.prefix == 7


def test_gaps_are_nothing_to_settle() -> None:
    """Compaction and transaction markers leave gaps; the end of a partition lies behind its markers."""
    window = Window(0)
    window.add(3)
    assert window.to_commit()[0] == 3
    window.settle(3)
    window.reach_end(9)
    assert window.dirty
    assert window.prefix == 9
    window.committed(9)
    assert not window.dirty
    window.reach_end(9)
    assert not window.dirty


def test_a_record_is_taken_once() -> None:
    """A seek back or a repeated fetch adds nothing."""
    window = Window(4)
    assert not window.add(3)
    assert window.add(4)
    assert not window.add(4)


def test_the_window_is_bounded() -> None:
    """What the metadata could not tell of is not read."""
    window = Window(0)
    window.add(0)
    window.add(SPAN_MAX - 2)
    assert not window.full
    window.add(SPAN_MAX - 1)
    assert window.full
    window.settle(0)
    assert not window.full


def test_metadata_fits_kafka() -> None:
    """Kafka keeps 4,096 bytes of metadata with an offset."""
    chance = random.Random(1)
    worst = {offset for offset in range(1, SPAN_MAX) if chance.random() < 0.5}
    text = encode_settled(worst, 0)
    assert len(text) < 4096
    assert set(decode_settled(text, 0)) == worst


def test_metadata_nobody_can_read_tells_nothing() -> None:
    """An operator's own commit must not break a processor."""
    for text in (None, "", "by hand", "m1:", "m1:r!!", "m1:zAAAA", "m1:rAA", "m2:", "m2:!!", "m2:AAAA", "m3:AAAA"):
        assert decode_settled(text, 5) == []


def test_sparse_and_dense_windows_are_packed() -> None:
    """Both forms of the bitmap are read back."""
    assert decode_settled(encode_settled({7}, 5), 5) == [7]
    dense = set(range(1, 5000))
    assert set(decode_settled(encode_settled(dense, 0), 0)) == dense
    assert encode_settled({3}, 5) == ""


def test_settled_records_behind_wide_gaps_fit_kafka() -> None:
    """What one fetch brings of a compacted topic, all settled but the first: the broker takes 4,096 bytes."""
    chance = random.Random(1)
    offset, settled = 0, set()
    for _ in range(2_000):
        offset += chance.randint(1, 600)
        settled.add(offset)
    text = encode_settled(settled, 0)
    assert len(text) <= METADATA_BYTES_MAX
    assert set(decode_settled(text, 0)) == settled


def test_the_lowest_settled_offsets_are_told_where_not_all_fit() -> None:
    """G2: what is left out is looked at again; nothing is told that is not settled."""
    chance = random.Random(1)
    settled = {chance.randrange(1 << 40) for _ in range(3_000)}
    text = encode_settled(settled, 0)
    told = decode_settled(text, 0)
    assert METADATA_BYTES_MAX * 0.9 < len(text) <= METADATA_BYTES_MAX
    assert told == sorted(settled)[: len(told)]
    assert len(told) > 400


def test_metadata_that_unpacks_to_megabytes_tells_nothing() -> None:
    """Nobody's commit may cost a processor its memory."""
    bomb = base64.b64encode(zlib.compress(b"\xff" * 2_000_000, 9)).decode()
    assert len(bomb) < METADATA_BYTES_MAX
    assert decode_settled(f"m1:z{bomb}", 0) == []
    assert decode_settled(f"m2:{bomb}", 0) == []


def test_steps_that_are_cut_off_tell_nothing() -> None:
    """Half a step is another offset."""
    for raw in (b"\x80", b"\x01\x80"):
        assert decode_settled("m2:" + base64.b64encode(zlib.compress(raw)).decode(), 0) == []
    whole = zlib.compress(bytes(range(100)))
    assert decode_settled("m2:" + base64.b64encode(whole[:-6]).decode(), 0) == []
