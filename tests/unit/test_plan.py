"""Rows to jobs and rejects, from real CSV files with all that is wrong with them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from producer.plan import OnDuplicate, Reject
from producer.sources import open_source
from schemas.records import Job
from schemas.runtime.errors import SourceError
from tests.support.plans import planned

HEADER = "user_id,email,name\n"


def plan_of(path: Path, on_duplicate: OnDuplicate = OnDuplicate.ERROR) -> tuple[list[Job], list[Reject]]:
    return planned(open_source(str(path)), on_duplicate)


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "users.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_rows_become_jobs_with_their_provenance(tmp_path: Path) -> None:
    """Quotes, newlines and unicode in cells are content; the row's line is kept."""
    path = write(tmp_path, HEADER + 'u1,a@b.de,"He said ""hi"",\nok"\nu2,c@d.de,Zoë\n')
    jobs, rejects = plan_of(path)
    assert rejects == []
    assert [entry.data["name"] for entry in jobs] == ['He said "hi",\nok', "Zoë"]
    assert [entry.provenance and entry.provenance.row for entry in jobs] == [2, 4]
    assert jobs[0].data == {"name": 'He said "hi",\nok'}


def test_each_bad_row_is_rejected_with_its_line_and_stops_nothing(tmp_path: Path) -> None:
    """A bad row is reported and counted; the good ones go on."""
    rows = [
        (b"u1,a@b.de,ok", None),
        (b",a@b.de,no id", "missing-user-id"),
        (b"u2,,no mail", "missing-email"),
        (b"u3,nobody,bad", "bad-address"),
        (b"x" * 193 + b",a@b.de,long", "bad-user-id"),
        (b"u4,a@b.de", "unreadable-row"),
        (b"u5,a@b.de,one,two", "unreadable-row"),
        (b"u6,a@b.de,\xff\xfe", "unreadable-row"),
        (b"u7,a@b.de,a\0b", "unreadable-row"),
        (b"u8,a@b.de," + b"x" * 140_000, "unreadable-row"),
        (b"u9, c@d.de ,spaces around the \xc3\xa4ddress", None),
    ]
    path = write(tmp_path, HEADER.encode() + b"\n".join(row for row, _ in rows) + b"\n")
    jobs, rejects = plan_of(path)
    assert [entry.user_id for entry in jobs] == ["u1", "u9"]
    assert jobs[1].email == "c@d.de"
    expected = [(line, why) for line, (_, why) in enumerate(rows, 2) if why]
    assert [(reject.line, reject.reason) for reject in rejects] == expected


def test_data_too_large_for_ses_is_rejected(tmp_path: Path) -> None:
    """SES's limit on template data, over several cells."""
    path = write(tmp_path, "user_id,email,a,b,c\nu1,a@b.de," + ",".join("x" * 100_000 for _ in range(3)) + "\n")
    _, rejects = plan_of(path)
    assert [reject.reason for reject in rejects] == ["data-too-large"]


def test_duplicate_users_are_never_silent(tmp_path: Path) -> None:
    """error: all of the user's rows are rejected; last: the last counts, the others are reported."""
    path = write(tmp_path, HEADER + "u1,a@b.de,first\nu2,x@y.de,only\nu1,c@d.de,last\n")
    jobs, rejects = plan_of(path)
    assert [entry.user_id for entry in jobs] == ["u2"]
    assert [(reject.line, reject.reason) for reject in rejects] == [(2, "duplicate-user"), (4, "duplicate-user")]
    jobs, rejects = plan_of(path, OnDuplicate.LAST)
    assert [(entry.user_id, entry.email) for entry in jobs] == [("u2", "x@y.de"), ("u1", "c@d.de")]
    assert [reject.line for reject in rejects] == [2]


def test_a_bad_row_is_no_duplicate(tmp_path: Path) -> None:
    """A row that cannot be read does not spoil the user's good one."""
    path = write(tmp_path, HEADER + "u1,a@b.de\nu1,a@b.de,good\n")
    jobs, rejects = plan_of(path)
    assert len(jobs) == len(rejects) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("id,mail\n1,2\n", "lacks the column user_id, email"),
        ("user_id,email,email\n", "twice"),
    ],
)
def test_a_file_that_is_no_source_is_refused_whole(tmp_path: Path, content: str, says: str) -> None:
    """A clear error that says what to do."""
    with pytest.raises(SourceError, match=says):
        open_source(str(write(tmp_path, content)))


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    """A missing file and an unknown kind of source."""
    with pytest.raises(SourceError, match="no such file"):
        open_source(str(tmp_path / "none.csv"))
    with pytest.raises(SourceError, match="no source is known"):
        open_source("ftp://x/y.csv")


def test_a_file_uri_and_a_byte_order_mark(tmp_path: Path) -> None:
    """Excel's exports begin with a mark; a URI is as good as a path; the snapshot follows the content."""
    path = write(tmp_path, b"\xef\xbb\xbf" + HEADER.encode() + b"u1,a@b.de,n\n")
    source = open_source(path.as_uri())
    assert [row.values["user_id"] for row in source.rows()] == ["u1"]
    before = source.snapshot
    path.write_text(HEADER)
    assert open_source(str(path)).snapshot != before


def parquet(tmp_path: Path, query: str) -> Path:
    path = tmp_path / "users.parquet"
    duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


def test_parquet_rows_become_jobs(tmp_path: Path) -> None:
    """The same rows as from CSV: every value as text, nothing for a missing one, the row's number as its place."""
    path = parquet(
        tmp_path,
        "SELECT 'u' || n AS user_id, CASE n WHEN 3 THEN NULL ELSE 'u' || n || '@b.de' END AS email, n * 1.5 AS usage,"
        " CASE n WHEN 5 THEN 'a' || chr(0) ELSE 'Zoë' END AS name FROM range(1, 6) AS numbers(n)",
    )
    jobs, rejects = plan_of(path)
    assert [(entry.user_id, entry.data["usage"], entry.data["name"]) for entry in jobs] == [
        ("u1", "1.5", "Zoë"),
        ("u2", "3.0", "Zoë"),
        ("u4", "6.0", "Zoë"),
    ]
    assert [(reject.line, reject.reason) for reject in rejects] == [(3, "missing-email"), (5, "unreadable-row")]
    assert [entry.provenance and entry.provenance.row for entry in jobs] == [1, 2, 4]


def test_parquet_duplicates_and_order(tmp_path: Path) -> None:
    """More rows than one fetch holds, in the file's order; the last one counts when told so."""
    path = parquet(tmp_path, "SELECT 'u' || (n % 9000) AS user_id, n || '@b.de' AS email FROM range(10000) AS t(n)")
    jobs, rejects = plan_of(path, OnDuplicate.LAST)
    assert [entry.email for entry in jobs] == [f"{n}@b.de" for n in range(1000, 10000)]
    assert [reject.line for reject in rejects] == list(range(1, 1001))


def test_what_is_no_parquet_is_refused_whole(tmp_path: Path) -> None:
    """Not Parquet at all, and without the columns needed."""
    path = tmp_path / "users.parquet"
    path.write_text("user_id,email\n")
    with pytest.raises(SourceError, match="is no Parquet file"):
        open_source(str(path))
    with pytest.raises(SourceError, match="lacks the column email"):
        open_source(str(parquet(tmp_path, "SELECT 'u1' AS user_id")))
