"""Properties that must hold for any input, tried on many."""

from __future__ import annotations

from contextlib import closing
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.core.answers import Accepted, ServiceError, Unknown, classify
from processor.core.offsets import METADATA_BYTES_MAX, Window, decode_settled, encode_settled
from processor.core.retry import delay_s
from processor.recovery.spill import RANGES, SpillingRows
from producer.plan import OnDuplicate, Reject, find_users, plan
from producer.sources import Row
from schemas.addresses import address_problem
from schemas.codec import decode_job, encode, fingerprint
from schemas.identity import Key, message_tags, new_attempt_id, read_tags
from schemas.kafka.unreadable import first_outside
from schemas.limits import tag_problem
from schemas.records import Job
from schemas.runtime.backoff import Backoff
from schemas.runtime.errors import BadRecord

# The lines that these reach are reached by other tests; under a tracer they would take twice the time.
pytestmark = pytest.mark.no_cover

months = st.from_regex(r"20[0-9]{2}-(0[1-9]|1[0-2])", fullmatch=True)
user_ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=48)
keys = st.builds(Key, user_ids, months)


@given(keys)
def test_any_user_id_survives_key_and_tags(key: Key) -> None:
    """Keys and tags are read back exactly; tags always fit SES's limits."""
    assert Key.from_bytes(key.to_bytes()) == key
    attempt = new_attempt_id()
    tags = message_tags(key, attempt)
    assert tag_problem(tags) is None
    assert read_tags(tags) == (key, attempt)


@given(keys, keys)
def test_different_keys_never_share_tags(one: Key, other: Key) -> None:
    """G1: no mail can be taken for another user's."""
    if one != other:
        assert message_tags(one, "a") != message_tags(other, "a")


@given(st.one_of(st.none(), st.binary(max_size=60), keys.map(Key.to_bytes)), st.binary(max_size=300))
def test_no_bytes_crash_the_reader(key: bytes | None, value: bytes) -> None:
    """G2: whatever stands in the topic is a job or poison with a code, never a traceback."""
    try:
        decode_job(key, value)
    except BadRecord as bad:
        assert bad.code
        assert bad.detail


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(keys, st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), json_values, max_size=5))
def test_any_data_survives_the_wire(key: Key, data: dict[str, object]) -> None:
    """A job reads back as it was written, whatever its data."""
    job = Job(v=1, user_id=key.user_id, month=key.month, email="a@b.de", template="t", data=data)
    again = decode_job(key.to_bytes(), encode(job))
    assert again == job
    assert fingerprint(again) == fingerprint(job)


@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=80), st.randoms())
def test_a_window_agrees_with_a_plain_model(start: int, steps: list[tuple[int, bool]], chance: object) -> None:
    """G2: in any order of completion the prefix covers settled records only, and a successor knows the rest."""
    window, offset, added, settled = Window(start), start, [], set()
    for gap, settle in steps:
        offset += gap
        assert window.add(offset)
        added.append(offset)
        if settle:
            pick = chance.choice([o for o in added if o not in settled])  # type: ignore[attr-defined]
            window.settle(pick)
            settled.add(pick)
    prefix, metadata = window.to_commit()
    unsettled = [o for o in added if o not in settled]
    assert prefix == (unsettled[0] if unsettled else (added[-1] + 1 if added else start))
    successor = Window(prefix, metadata)
    assert [o for o in added if o >= prefix and successor.add(o)] == unsettled


@given(st.integers(0, 2**32), st.sampled_from((1, 4, 300, 70_000, 2**27)), st.integers(0, 9_000), st.floats(0, 1))
@settings(max_examples=60)
def test_any_settled_offsets_fit_the_metadata(seed: int, gap_max: int, count: int, share: float) -> None:
    """G2: the broker takes the commit whatever is settled, and nobody is told of a record that is not."""
    chance, offset, settled = Random(seed), seed, set()
    for _ in range(count):
        offset += chance.randint(1, gap_max)
        if chance.random() < share:
            settled.add(offset)
    text = encode_settled(settled, seed)
    told = decode_settled(text, seed)
    assert len(text) <= METADATA_BYTES_MAX
    assert told == sorted(settled)[: len(told)]
    assert bool(told) == bool(settled)


@given(st.integers(0, 2**32), st.sampled_from((2, 9, 300, 70_000, 2**27)), st.floats(0, 1))
@settings(max_examples=60)
def test_whoever_reads_within_the_room_can_tell_of_all(seed: int, gap_max: int, share: float) -> None:
    """G6: a successor repeats nothing, though the first record of the partition is not settled."""
    chance, window, offset, settled = Random(seed), Window(0), 0, set()
    window.add(0)
    while not window.full:
        gap = chance.choice((2, gap_max))
        for _ in range(chance.choice((1, window.room))):
            offset += chance.randint(1, gap)
            window.add(offset)
            if chance.random() < share:
                window.settle(offset)
                settled.add(offset)
    prefix, metadata = window.to_commit()
    assert prefix == 0
    assert set(decode_settled(metadata, prefix)) == settled


@given(st.sets(st.integers(0, 15_999), max_size=300), st.integers(0, 10**12))
def test_settled_offsets_survive_the_metadata(offsets: set[int], prefix: int) -> None:
    """The bitmap is exact."""
    absolute = {prefix + offset for offset in offsets}
    assert set(decode_settled(encode_settled(absolute, prefix), prefix)) == absolute


@given(st.text(max_size=60))
def test_any_metadata_can_be_read(text: str) -> None:
    """A commit by hand never breaks a processor."""
    decode_settled(text, 0)
    decode_settled("m1:" + text, 0)


@given(st.integers(0, 599), st.text(max_size=30), st.text(max_size=30))
def test_only_client_errors_prove_anything(status: int, code: str, message: str) -> None:
    """G1: nothing but a read 4xx (and not 408) can prove that a message was not sent."""
    verdict = classify(ServiceError(status, code, message))
    assert not isinstance(verdict, Accepted)
    if not 400 <= status < 500 or status == 408:
        assert isinstance(verdict, Unknown)


@given(st.floats(0.01, 100), st.floats(1, 10), st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_back_off_stays_within_its_ceiling(interval: float, rate: float, tries: int, random: float) -> None:
    """A wait is never negative and never above the ceiling."""
    policy = Backoff(interval_s=interval, backoff_rate=rate, max_attempts=5, max_delay_s=60)
    assert 0 <= delay_s(policy, tries, random) <= 60


rows = st.lists(
    st.tuples(st.sampled_from(["u1", "u2", "u3", "a:b", ""]), st.sampled_from(["a@b.de", "c@d.de", "bad", ""])),
    max_size=12,
)


@given(rows, st.sampled_from(list(OnDuplicate)))
@settings(max_examples=200)
def test_every_row_is_a_job_or_a_reject(pairs: list[tuple[str, str]], on_duplicate: OnDuplicate) -> None:
    """G2: nothing of a source vanishes, and no user gets two jobs."""
    table = [Row(n, {"user_id": user, "email": email}) for n, (user, email) in enumerate(pairs, 2)]
    planned = list(
        plan(
            table,
            find_users((row.line, row.values["user_id"]) for row in table),
            month="2026-11",
            template="t",
            on_duplicate=on_duplicate,
            source="s",
            snapshot="x",
            now_ms=lambda: 1,
        )
    )
    assert len(planned) == len(table)
    users = [entry.user_id for entry in planned if not isinstance(entry, Reject)]
    assert len(users) == len(set(users))
    if on_duplicate is OnDuplicate.ERROR:
        ids = [user for user, _ in pairs]
        assert all(ids.count(user) == 1 for user in users)


@given(
    st.from_regex(r"[A-Za-z0-9_+.-]{1,66}@([a-z0-9-]{1,65}\.){1,5}[a-z0-9-]{1,65}", fullmatch=True)
    | st.from_regex(r"[a-z.]{63,66}@[a-z-]{1,3}\.[a-z]{1,3}\n?", fullmatch=True)
)
@settings(max_examples=250)
def test_usual_addresses_are_judged_as_all_others(address: str) -> None:
    """The short look at an address never lets through what the long one would refuse."""
    at_length = address_problem("!" + address)  # a character that the short look does not know
    longest = len(address.partition("@")[0]) == 64
    assert address_problem(address) == at_length or longest or address.startswith(".")


@given(
    st.lists(
        st.tuples(st.binary(max_size=2), st.integers(0, 3), st.one_of(st.none(), st.text(max_size=3))), max_size=60
    ),
    st.integers(1, 8),
)
def test_rows_that_spill_are_all_there_in_their_order(rows: list[tuple[bytes, int, str | None]], rows_max: int) -> None:
    """Memory stays flat, and nothing else changes."""
    plain: dict[bytes, list[tuple[int, str | None]]] = {}
    with closing(SpillingRows(str, rows_max)) as spilling:
        for key, partition, text in rows:
            spilling.add(key, partition, text)
            plain.setdefault(key, []).append((partition, text))
        found = [spilling.of_range(number) for number in range(RANGES)]
        assert {key: said for of_range in found for key, said in of_range.items()} == plain
        assert sum(map(len, found)) == len(plain), "each key in one range"


@given(st.integers(0, 10_000), st.integers(1, 5_000), st.integers(0, 5_000))
def test_where_an_unreadable_batch_ends_is_found(begins: int, length: int, behind: int) -> None:
    """G2: neither a record of it is left before the reader, nor one behind it passed over; and in few questions."""
    asked: list[int] = []

    def is_inside(place: int) -> bool:
        asked.append(place)
        return begins <= place < begins + length

    assert first_outside(is_inside, begins, begins + length + behind) == begins + length
    assert all(begins < place < begins + length + behind for place in asked)
    assert len(asked) <= 30
