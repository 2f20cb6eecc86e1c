"""The producer's way in, tried on many inputs: no row depends on another, and the quick ways decide as the slow ones."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.order import Order
from producer.pipeline import Pipeline
from producer.plan import OnDuplicate, Reject
from producer.published import CANCELLED, NO_JOB, UNREADABLE, write_held
from producer.rejects import Rejects
from producer.sources import csv_text, open_source
from producer.staging.diff import Diff
from schemas.codec import decode_job, encode, fingerprint
from schemas.identity import Key
from schemas.records import Job
from schemas.runtime.errors import BadRecord, SourceError
from tests.support.plans import planned

# The lines that these reach are reached by other tests; under a tracer they would take twice the time.
pytestmark = pytest.mark.no_cover

MONTH = "2026-11"
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
likely = st.sampled_from(
    ["25-11-2026", "10:00", "1.50", "1e5", "007", "true", "null", "0B1C2D3E-0000-4000-8000-00000000000A"]
)
values = texts | likely
ids = st.sampled_from(["c-1", "7", "12345678901234567890123", "0B1C2D3E-0000-4000-8000-00000000000A", "ü", "true"])
tables = st.dictionaries(ids, st.tuples(values, values), max_size=5)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def write_csv(path: Path, rows: list[tuple[str, tuple[str, str]]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, quoting=csv.QUOTE_ALL)
        writer.writerow(["user_id", "email", "a", "b"])
        writer.writerows([user, "a@b.de", *cells] for user, cells in rows)


def write_jsonl(path: Path, rows: list[tuple[str, tuple[str, str]]]) -> None:
    def line(user: str, cells: tuple[str, str]) -> str:
        # An id of digits is a number here, another a text: neither changes the other.
        own = int(user) if user.isdigit() else user
        return json.dumps({"user_id": own, "email": "a@b.de", "a": cells[0], "b": cells[1]})

    path.write_text("".join(line(*row) + "\n" for row in rows), encoding="utf-8")


def prints(uri: str) -> dict[str, str]:
    jobs, rejects = planned(open_source(uri), OnDuplicate.ERROR)
    assert not rejects, rejects
    return {job.user_id: fingerprint(job) for job in jobs}


@pytest.mark.parametrize(("ending", "write"), [("csv", write_csv), ("jsonl", write_jsonl)])
@given(tables, st.integers(0, 5), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_no_row_depends_on_another(
    ending: str, write: Any, table: dict[str, tuple[str, str]], some: int, random: Random
) -> None:
    """G1: rows that are added, removed, put in another order or into another file change no other row's key and content."""
    rows = list(table.items())
    with folder() as here:
        write(here / f"all.{ending}", rows)
        whole = prints(str(here / f"all.{ending}")) if rows or ending == "csv" else {}
        shuffled = random.sample(rows, len(rows))
        first, second = shuffled[:some], shuffled[some:]
        (here / "split").mkdir()
        for number, part in enumerate((first, second)):
            if part or ending == "csv":
                write(here / "split" / f"{number}.{ending}", part)
        if rows:
            assert prints(str(here / "split" / f"*.{ending}")) == whole
        if first:
            write(here / f"some.{ending}", first)
            assert prints(str(here / f"some.{ending}")) == {user: whole[user] for user, _ in first}
    assert set(whole) == set(table)


pieces = st.sampled_from(
    [
        "u1",
        "a@b.de",
        ",",
        ",",
        ",",
        "\n",
        "\n",
        "\r\n",
        '"',
        '""',
        " ",
        "é",
        "\x1f",
        "\x1a",
        "\x1as",
        "\ufeff",
        "x" * 40,
    ]
)
cells = st.lists(pieces, max_size=30).map("".join)


def staged(text: str, block: int, *, plain: bool) -> list[object] | str:
    with folder() as here, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_text, "_BLOCK", block)
        if not plain:
            patch.setattr(csv_text, "_plain", lambda _block, _header: b"")
        path = here / "a.csv"
        path.write_bytes(text.encode())
        try:
            source = open_source(str(path))
        except SourceError as error:
            return str(error)
        assert source.staging.count == sum(1 for _ in source.user_ids())
        return list(source.rows())


@given(cells, st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_a_stretch_passed_on_whole_is_what_its_rows_are(text: str, block: int) -> None:
    """Rows, lines and reasons are the same, wherever the stretches end, and as the csv module has them."""
    text = "user_id,email,a\n" + text
    one_by_one = staged(text, 1 << 20, plain=False)
    assert staged(text, block, plain=True) == one_by_one
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), strict=True))[1:]
    except csv.Error:
        return
    if not isinstance(one_by_one, str):
        good = [list(row.values.values()) for row in one_by_one if row.problem is None]  # type: ignore[attr-defined]
        assert [record for record in records if len(record) == 3 and record in good] == good


def a_job(user: str, email: str, a: str, template: str = "t") -> Job:
    return Job(v=1, user_id=user, month=MONTH, email=email, template=template, data={"a": a})


users = st.sampled_from(
    ["u1", "u2", "ü", "a:b", " u1", "u\u200b1", "", "x" * 193, "NULL", "\\N", "1.23E+15", '="007"', "12e45", 'q"\\']
)
addresses = st.sampled_from(["a@b.de", "c@d.de", " e@f.de ", "bad", "", "a" * 65 + "@b.de", "A@B.de", "ä@b.de"])
held = st.one_of(
    st.builds(lambda user, email, a: (user, encode(a_job(user, email.strip(), a))), users, addresses, texts),
    st.builds(
        lambda user, a: (user, json.dumps(json.loads(encode(a_job(user, "a@b.de", a))), indent=1).encode()),
        users,
        texts,
    ),
    st.builds(lambda user: (user, b""), users),
    st.builds(lambda user: (user, b"\xff junk"), users),
    st.builds(lambda user: (user, b"\0\0\0\0\1" + encode(a_job(user, "a@b.de", "x"))), users),
)


def expected(jobs: list[Job], records: list[tuple[bytes, bytes]]) -> dict[str, int]:
    """What the rules say, one record after the other."""
    known: dict[bytes, str] = {}
    for key, value in records:
        try:
            known[key] = fingerprint(decode_job(key, value)) if value else CANCELLED
        except BadRecord:
            known[key] = NO_JOB if known.get(key, NO_JOB) == NO_JOB else UNREADABLE
    counts = dict.fromkeys(("published", "changed", "unchanged", "cancelled"), 0)
    for job in jobs:
        state = known.get(Key(job.user_id, MONTH).to_bytes(), NO_JOB)
        if state == CANCELLED:
            counts["cancelled"] += 1
        elif state == fingerprint(job):
            counts["unchanged"] += 1
        else:
            counts["published"] += 1
            counts["changed"] += state != NO_JOB
    return counts


@given(
    st.lists(st.tuples(users, addresses, texts), max_size=6),
    st.lists(held, max_size=6),
    st.sampled_from(list(OnDuplicate)),
)
@settings(max_examples=40, deadline=None)
def test_sql_decides_as_the_rules_do(
    rows: list[tuple[str, str, str]], published: list[tuple[str, bytes]], on_duplicate: OnDuplicate
) -> None:
    """What is good, published, changed, unchanged or cancelled; and what is published is the record the rules make."""
    order = Order(MONTH, "t", on_duplicate, dry_run=True)
    rows = [row for row in rows if any(row)]  # others are as blank lines
    with folder() as here:
        with (here / "a.csv").open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out, quoting=csv.QUOTE_ALL)
            writer.writerows([("user_id", "email", "a"), *rows])
        source = open_source(str(here / "a.csv"))
        records = [(f"{user}:{MONTH}".encode(), value) for user, value in published]
        with (here / "held").open("wb") as held_file:
            assert sum(1 for _ in write_held(records, MONTH, held_file)) == len(records)
        diff = Diff(source, MONTH, "t", here / "held" if records else None)
        rejects = Rejects(source)
        pipeline = Pipeline(source, diff, rejects, order, lambda *_: None)
        made = {key: value for batch in diff.fresh() for key, value in pipeline.jobs(batch)}
        pipeline.plan()
        tally = pipeline.tally
        assert len(made) == pipeline.certain
        jobs, refused = planned(source, on_duplicate)
    counts = {name: getattr(tally, name) for name in ("changed", "unchanged", "cancelled")}
    counts["published"] = tally.planned + len(made)
    assert counts == expected(jobs, records)
    assert rejects.first == sorted(refused, key=lambda one: one.line)
    assert len(rejects) + counts["published"] + tally.unchanged + tally.cancelled == len(rows)
    of_rules = {Key(job.user_id, MONTH).to_bytes(): job for job in jobs}
    for key, value in made.items():
        job = decode_job(key, value)
        assert (fingerprint(job), job.data, job.provenance) == (
            fingerprint(of_rules[key]),
            of_rules[key].data,
            of_rules[key].provenance,
        )
    assert all(isinstance(one, Reject) for one in refused)
