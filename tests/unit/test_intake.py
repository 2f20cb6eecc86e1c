"""What goes in: text as written, whole rows or none, from whatever format; each count and each reason."""

from __future__ import annotations

import csv
import json
import os
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from producer.balance import Balance, OutOfBalance, check_expected
from producer.plan import OnDuplicate, Reject
from producer.rejects import Rejects, rejects_path
from producer.sources import Asked, open_source
from producer.sources.typed import json_of, text_of
from schemas.codec import fingerprint
from schemas.runtime.errors import SourceError, UsageError
from tests.support.plans import planned

HEADER = "user_id,email,name\n"


def source_at(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def outcome(
    path: Path, on_duplicate: OnDuplicate = OnDuplicate.ERROR
) -> tuple[dict[str, dict[str, object]], list[Reject]]:
    jobs, rejects = planned(open_source(str(path)), on_duplicate)
    return {job.user_id: job.data for job in jobs}, rejects


# ---- CSV ----


def test_a_stray_quote_swallows_nobody(tmp_path: Path) -> None:
    """A row of several lines that are rows of their own is refused by name, and the rows after it go on."""
    text = HEADER + 'u1,a@b.de,A\nu2,hal@b.de,"Hal\nu3,ida@b.de,Ida\nu4,jon@b.de,Jon"\nu5,k@b.de,K\n'
    data, rejects = outcome(source_at(tmp_path / "a.csv", text))
    assert list(data) == ["u1", "u5"]
    assert [(one.line, one.reason) for one in rejects] == [(3, "unreadable-row")]
    assert "lines 3 to 5" in rejects[0].detail
    assert "swallow 2" in rejects[0].detail
    assert rejects[0].raw == ("u2", "hal@b.de", "Hal\nu3,ida@b.de,Ida\nu4,jon@b.de,Jon")


def test_text_over_several_lines_is_content(tmp_path: Path) -> None:
    """Lines that are no rows of this file are what the cell holds, line ends included."""
    text = HEADER.replace("\n", "\r\n") + 'u1,a@b.de,"Dear all,\r\nsee, this, line\r\n\r\nBye"\r\nu2,c@d.de,Z\r\n'
    data, rejects = outcome(source_at(tmp_path / "a.csv", text))
    assert not rejects
    assert data["u1"] == {"name": "Dear all,\r\nsee, this, line\r\n\r\nBye"}
    assert data["u2"] == {"name": "Z"}


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ('u2,c@d.de,"He said "hi"\nu3,evil@d.de,forged"\nu4,x@d.de,y\n', "not doubled inside a cell"),
        ('u2,c@d.de,"Zoë', "ends inside a quoted cell"),
        ('u2,c@d.de,"' + "x\n" * 600_000, "a row of more than 1,000,000 characters"),
    ],
)
def test_behind_a_quote_out_of_place_nothing_is_read(tmp_path: Path, rest: str, says: str) -> None:
    """Nobody can tell where the next row begins: a line of somebody's text never becomes a job."""
    data, rejects = outcome(source_at(tmp_path / "a.csv", HEADER + "u1,a@b.de,A\n" + rest))
    assert list(data) == ["u1"]
    assert [(one.line, one.reason) for one in rejects] == [(3, "unreadable-row")]
    assert says in rejects[0].detail
    assert rejects[0].raw[0] == "u2"


def test_a_cell_that_is_too_long_is_no_row_and_forges_none(tmp_path: Path) -> None:
    """What stands behind its 131,072nd character is still the same cell."""
    long = "x" * 131_072
    text = HEADER + f'u1,a@b.de,"{long}\nevil,evil@b.de\n"\nu2,a@b.de,{long}\nu3,a@b.de,{long}y\nu4,c@d.de,Z\n'
    data, rejects = outcome(source_at(tmp_path / "a.csv", text))
    assert list(data) == ["u2", "u4"]
    assert [one.line for one in rejects] == [2, 6]
    assert all("at most 131072 are read" in one.detail for one in rejects)


def test_bytes_that_are_no_text_spoil_only_their_row(tmp_path: Path) -> None:
    """Not UTF-8, a NUL, the staging's own characters: refused, or kept as they are."""
    rows = [b"u1,a@b.de,\xff", b"u2,a@b.de,a\0b", b"u3,a@b.de,a\x1fb\x1a\x1as", b"u4,a@b.de,\xef\xbb\xbfZo\xc3\xab"]
    data, rejects = outcome(source_at(tmp_path / "a.csv", HEADER.encode() + b"\n".join(rows) + b"\n"))
    assert [(one.line, one.detail) for one in rejects] == [(2, "not UTF-8"), (3, "holds a NUL character")]
    assert data == {"u3": {"name": "a\x1fb\x1a\x1as"}, "u4": {"name": "\ufeffZoë"}}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind_and_blank_lines(tmp_path: Path, end: str) -> None:
    """Each row's line counts them all; the file's own mark at its beginning is none of its content."""
    text = "\ufeff" + end.join(["user_id , email,name", "u1,a@b.de,A", "", "u2,c@d.de,B", "", "", "u3,e@f.de,C"])
    jobs, rejects = planned(open_source(str(source_at(tmp_path / "a.csv", text))))
    assert not rejects
    assert [(job.user_id, job.provenance and job.provenance.row) for job in jobs] == [("u1", 2), ("u2", 4), ("u3", 7)]


def test_many_rows_with_and_without_quotes_keep_their_lines(tmp_path: Path) -> None:
    """Whether a stretch is passed on whole or read row by row makes no difference."""
    rows = [
        f"u{n},u{n}@b.de,{chr(34) + 'two' + chr(10) + 'lines' + chr(34) if n % 20_000 == 7 else n}"
        for n in range(60_000)
    ]
    jobs, rejects = planned(open_source(str(source_at(tmp_path / "a.csv", HEADER + "\n".join(rows) + "\n"))))
    assert not rejects
    assert [job.user_id for job in jobs] == [f"u{n}" for n in range(60_000)]
    assert jobs[20_007].data == {"name": "two\nlines"}
    assert [jobs[n].provenance.row for n in (7, 8, 20_007, 20_008, 59_999)] == [9, 11, 20_010, 20_012, 60_004]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("user_id", "says"),
    [
        (" u1", "has spaces around it"),
        ("v-1 ", "has spaces around it"),
        ("u\u200b1", "an invisible character (U+200B ZERO WIDTH SPACE)"),
        ("\ufeffu1", "an invisible character (U+FEFF ZERO WIDTH NO-BREAK SPACE)"),
        ("u1\u00a0", "an invisible character (U+00A0 NO-BREAK SPACE)"),
        ("u\t1", "an invisible character (U+0009 a control character)"),
    ],
)
def test_an_id_that_only_looks_like_another_is_refused(tmp_path: Path, user_id: str, says: str) -> None:
    """It would be another user, mailed a second time; it is never mended in silence."""
    data, rejects = outcome(source_at(tmp_path / "a.csv", HEADER + f"{user_id},a@b.de,A\nu2,c@d.de,B\n"))
    assert list(data) == ["u2"]
    assert [one.reason for one in rejects] == ["bad-user-id"]
    assert says in rejects[0].detail


def test_an_id_of_any_script_is_taken(tmp_path: Path) -> None:
    """Letters that are not ASCII are seen, joiners too."""
    ids = ["jürgen", "利用者", "نمی\u200cدانم"]
    data, rejects = outcome(source_at(tmp_path / "a.csv", HEADER + "".join(f"{one},a@b.de,A\n" for one in ids)))
    assert (list(data), rejects) == (ids, [])


def test_columns_are_trimmed_and_what_nobody_sees_is_named(tmp_path: Path) -> None:
    """A header's spaces are nobody's; an invisible character makes another column."""
    data, _ = outcome(source_at(tmp_path / "a.csv", " user_id ,\temail, first name \nu1,a@b.de,A\n"))
    assert data == {"u1": {"first name": "A"}}
    with pytest.raises(SourceError, match=r"column 1, 'user_id\\u200b', holds .*U\+200B"):
        open_source(str(source_at(tmp_path / "b.csv", "user_id\u200b,email\nu1,a@b.de\n")))


# ---- JSON ----


def json_jobs(path: Path, *rows: str) -> dict[str, dict[str, object]]:
    data, rejects = outcome(source_at(path, "\n".join(rows)))
    assert not rejects, rejects
    return data


def test_json_values_keep_their_own_text(tmp_path: Path) -> None:
    """No number is one, no text a date or a time, no id is lower-cased or quoted: whatever stands in other rows."""
    row = (
        '{"user_id":"C-1","email":"a@b.de","day":"25-11-2026","at":"10:00","n":1.50,"big":12345678901234567890123,'
        '"e":1.23E+15,"yes":true,"none":null,"user":{"city":"Zoë","n":1.5},"items":[{"a":1},2]}'
    )
    expected = {"day": "25-11-2026", "at": "10:00", "n": "1.50", "big": "12345678901234567890123", "e": "1.23E+15"}
    expected |= {"yes": "true", "none": ""}
    nested = {"user": {"city": "Zoë", "n": 1.5}, "items": [{"a": 1}, 2]}
    alone = json_jobs(tmp_path / "a.jsonl", row)
    assert alone == {"C-1": expected | nested}
    beside = json_jobs(tmp_path / "b.jsonl", '{"user_id":7,"email":"x@y.de","n":"text","more":1}', row)
    assert beside["C-1"] == alone["C-1"]
    assert beside["7"] == {"n": "text", "more": "1"}


def test_json_ids_stay_apart(tmp_path: Path) -> None:
    """Ids of 23 digits are not taken for one number, nor UUIDs for the same in other letters."""
    ids = ["12345678901234567890123", "12345678901234567890124", '"0B1C2D3E-0000-4000-8000-00000000000A"']
    rows = [f'{{"user_id":{one},"email":"a{n}@b.de"}}' for n, one in enumerate(ids)]
    assert list(json_jobs(tmp_path / "a.jsonl", *rows)) == [one.strip('"') for one in ids]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_of_objects_and_objects_over_many_lines(tmp_path: Path, indent: int | None) -> None:
    """As programs write them, with brackets and quotes inside of texts."""
    rows = [{"user_id": f"u{n}", "email": f"u{n}@b.de", "name": f'{{[" {n}\\'} for n in range(3000)]
    text = json.dumps(rows, indent=indent)
    assert json_jobs(tmp_path / "a.json", text) == {f"u{n}": {"name": f'{{[" {n}\\'} for n in range(3000)}
    one_by_one = "\n".join(json.dumps(row, indent=indent) for row in rows)
    assert len(json_jobs(tmp_path / "b.json", one_by_one)) == 3000


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"user_id":"u1","email":"a@b.de",}', "not readable as a JSON object"),
        ('{"user_id":"u1","email":"a@b.de","n":NaN}', "not readable as a JSON object"),
        ('{"user_id":"u1","email":"a@b.de","user_id":"u9"}', "names a column twice: user_id"),
        ('{"user_id": "u1", "email": "a@b.de", "n": 1, "n": 2}', "names a column twice: n"),
        ('{"user_id":["u1"],"email":"a@b.de"}', "user_id is a list"),
        ('{"user_id":"u1","email":"a@b.de","n":"\\u0000"}', "holds a NUL character"),
        ('{"user_id":"u1","email":"a@b.de","n":' + "[" * 120 + "]" * 120 + "}", "nested deeper than 100 levels"),
        ('{"user_id":"u1","email":"a@b.de","n":{"a":01}}', "not readable as a JSON object"),
        ("[1]", "not readable as a JSON object"),
    ],
)
def test_an_object_that_is_no_row_stops_nothing(tmp_path: Path, row: str, says: str) -> None:
    """Each is refused with its line and reason; the others go on."""
    good = '{"user_id":"u2","email":"c@d.de"}'
    data, rejects = outcome(source_at(tmp_path / "a.jsonl", f"{good}\n{row}\n{good.replace('u2', 'u3')}\n"))
    assert list(data) == ["u2", "u3"]
    assert [(one.line, one.reason) for one in rejects] == [(2, "unreadable-row")]
    assert says in rejects[0].detail


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n\n", "holds no JSON object"),
        ('[{"user_id":"u1","email":"a@b.de"}', "is it cut off"),
        ('[{"user_id":"u1","email":"a@b.de"}, {"user_id":"u', "is it cut off"),
        ('[{"user_id":"u1","email":"a@b.de"} {"user_id":"u2","email":"a@b.de"}]', "neither a JSON object nor a list"),
        ("[1,2]", "neither a JSON object nor a list|is it cut off"),
        ("user_id,email\nu1,a@b.de\n", "neither a JSON object nor a list|is it cut off"),
        ('{"user_id":"u1","name":"x"}\n', "lacks the column email"),
    ],
)
def test_json_that_is_no_source_is_refused_whole(tmp_path: Path, text: str, says: str) -> None:
    """Cut off, or something else."""
    with pytest.raises(SourceError, match=says):
        open_source(str(source_at(tmp_path / "a.json", text)))


# ---- typed sources ----


def parquet_jobs(tmp_path: Path, columns: str) -> dict[str, object]:
    path = tmp_path / "a.parquet"
    path.unlink(missing_ok=True)
    duckdb.execute(f"COPY (SELECT 'u1' AS user_id, 'a@b.de' AS email, {columns}) TO '{path}' (FORMAT parquet)")
    return outcome(path)[0]["u1"]


def test_every_type_has_one_text(tmp_path: Path) -> None:
    """From DuckDB and from a database's driver alike: plain numbers, ISO dates, true and false, JSON for the rest."""
    from datetime import UTC, date, datetime, time, timedelta, timezone
    from decimal import Decimal
    from uuid import UUID

    zone = timezone(timedelta(hours=2))
    uuid = "0b1c2d3e-0000-4000-8000-00000000000a"
    cases: list[tuple[str, object, object]] = [
        ("0::DECIMAL(20,10)", Decimal("0E-10"), "0.0000000000"),
        ("0.00000012::DECIMAL(20,8)", Decimal("1.2E-7"), "0.00000012"),
        ("1.50::DECIMAL(5,2)", Decimal("1.50"), "1.50"),
        ("1e-7::DOUBLE", 1e-7, "0.0000001"),
        ("-1.25e-7::DOUBLE", -1.25e-7, "-0.000000125"),
        ("1.2345678901234568e17::DOUBLE", 1.2345678901234568e17, "123456789012345680"),
        ("-1e22::DOUBLE", -1e22, "-10000000000000000000000"),
        ("3.0::DOUBLE", 3.0, "3.0"),
        ("12345678901234567890123::DECIMAL(38,0)", 12345678901234567890123, "12345678901234567890123"),
        ("TRUE", True, "true"),
        ("DATE '2026-11-25'", date(2026, 11, 25), "2026-11-25"),
        ("TIME '10:00:00'", time(10), "10:00:00"),
        ("TIMESTAMP '2026-11-25 10:00:00.5'", datetime(2026, 11, 25, 10, 0, 0, 500_000), "2026-11-25 10:00:00.5"),  # noqa: DTZ001
        ("TIMESTAMPTZ '2026-11-25 10:00:00+02'", datetime(2026, 11, 25, 10, tzinfo=zone), "2026-11-25 08:00:00+00:00"),
        ("TIMESTAMPTZ '2026-11-25 10:00:00+00'", datetime(2026, 11, 25, 10, tzinfo=UTC), "2026-11-25 10:00:00+00:00"),
        ("'\\xAB\\x00'::BLOB", b"\xab\0", "ab00"),
        (f"'{uuid}'::UUID", UUID(uuid), uuid),
        ("NULL::INTEGER", None, ""),
        ("[1, 2]", [1, 2], [1, 2]),
        ("{'city': 'Zoë', 'n': 1.5::DOUBLE}", {"city": "Zoë", "n": 1.5}, {"city": "Zoë", "n": 1.5}),
    ]
    for sql, value, expected in cases:
        assert parquet_jobs(tmp_path, f"{sql} AS v")["v"] == expected, sql
        assert json.loads(json_of(value)) == expected, value
        if isinstance(expected, str):
            assert text_of(value) == expected


def test_a_zone_of_the_machine_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment is told in UTC, whatever TZ says, in Parquet and in a query."""
    query = source_at(
        tmp_path / "q.sql",
        "SELECT 'u1' AS user_id, 'a@b.de' AS email, TIMESTAMPTZ '2026-11-25 23:30:00+00' AS at -- end",
    )
    found = set()
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        jobs, _ = planned(open_source(f"duckdb:///{query}"))
        found.add((jobs[0].data["at"], fingerprint(jobs[0])))
    assert len(found) == 1
    assert next(iter(found))[0] == "2026-11-25 23:30:00+00:00"


@pytest.mark.parametrize("kind", ["1.0::DOUBLE", "1.5::FLOAT", "{'id': 1}", "[1]"])
def test_an_id_that_is_no_one_value_is_refused_with_the_cast(tmp_path: Path, kind: str) -> None:
    """Its text is anybody's guess: the source says how to write it."""
    path = tmp_path / "a.parquet"
    duckdb.execute(f"COPY (SELECT {kind} AS user_id, 'a@b.de' AS email) TO '{path}' (FORMAT parquet)")
    with pytest.raises(SourceError, match=r"which is no id: .*CAST\(user_id"):
        open_source(str(path))


def test_a_database_is_held_to_the_same(tmp_path: Path) -> None:
    """A float for an id is refused; a query may end in a comment."""
    import sqlite3

    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.execute("CREATE TABLE users (id REAL, mail TEXT, n REAL)")
        database.execute("INSERT INTO users VALUES (1.0, 'a@b.de', 1e-7)")
    query = source_at(tmp_path / "q.sql", "SELECT id AS user_id, mail AS email, n FROM users; -- all of them\n")
    uri = f"sqlite:///{tmp_path}/a.db?query={query}"
    with pytest.raises(SourceError, match=r"user_id is a float, which is no id"):
        open_source(uri)
    source_at(query, "SELECT CAST(id AS INTEGER) AS user_id, mail AS email, n FROM users /* a; b */ ;\n-- end")
    jobs, _ = planned(open_source(uri))
    assert [(job.user_id, job.data) for job in jobs] == [("1", {"n": "0.0000001"})]


# ---- whole ----


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of one export and half of the next is neither."""
    from producer.sources import files

    path = source_at(tmp_path / "a.csv", HEADER + "u1,a@b.de,A\n")
    read = files.stage_csv

    def slowly(*args: object) -> tuple[str, int]:
        found = read(*args)  # type: ignore[arg-type]
        with path.open("a") as more:
            more.write("u2,c@d.de,B\n")
        return found

    monkeypatch.setattr(files, "stage_csv", slowly)
    with pytest.raises(SourceError, match="changed while it was read"):
        open_source(str(path))


def test_balance_and_expectation() -> None:
    """Every row is accounted for, or the command fails and says by how much."""
    whole = Balance(rows=10, published=2, unchanged=2, cancelled=1, rejected=1, replaced=1, filtered=2, after_limit=1)
    whole.check()
    with pytest.raises(OutOfBalance, match=r"out by \+1: of 11 rows"):
        Balance(11, 2, 2, 1, 1, 1, 2, 1).check()
    with pytest.raises(OutOfBalance, match=r"out by -1"):
        Balance(9, 2, 2, 1, 1, 1, 2, 1).check()
    check_expected(10, None)
    check_expected(10, 10)
    with pytest.raises(SourceError, match=r"has 10 rows, --expect-rows says 12 \(-2\)"):
        check_expected(10, 12)


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    """By a condition, and after the limit; a row that cannot be read is neither."""
    rows = "".join(f"u{n},u{n}@b.de,{n % 2}\n" for n in range(10))
    source = open_source(str(source_at(tmp_path / "a.csv", HEADER + "bad\n" + rows)))
    seen = source.shaped([("name", True, "1")], 3)
    assert (source.filtered, source.after_limit) == (0, 0)
    assert [row.values.get("user_id") for row in seen.rows()] == ["bad", "u1", "u3"]
    assert (seen.filtered, seen.after_limit, source.staging.count) == (5, 3, 11)


# ---- rejects ----


def rejected(path: Path, out: Path | None, keep: bool = True) -> str | None:
    source = open_source(str(path))
    with Rejects(source, out) as rejects:
        for one in planned(source, OnDuplicate.ERROR)[1]:
            rejects.add(one)
        return rejects.close(keep=keep)


def test_rejects_are_a_source_once_they_are_mended(tmp_path: Path) -> None:
    """In the source's own columns, the rejected row itself in it; given back under the same names, with nothing added."""
    path = source_at(tmp_path / "users.csv", 'id,mail,name\nu1,nobody,"a, b"\nu2,c@d.de,B\nu3,e@f.de\n')
    asked = Asked(renames={"id": "user_id", "mail": "email"})
    source = open_source(str(path), asked)
    out = tmp_path / "out.csv"
    with Rejects(source, out) as rejects:
        for one in planned(source)[1]:
            rejects.add(one)
        assert rejects.close(keep=True) == str(out)
    assert out.stat().st_mode & 0o777 == 0o600
    rows = list(csv.reader(out.read_text().splitlines()))
    assert rows[0] == ["line", "reason", "detail", "id", "mail", "name"]
    assert [(row[0], row[1], row[3:]) for row in rows[1:]] == [
        ("2", "bad-address", ["u1", "nobody", "a, b"]),
        ("4", "unreadable-row", ["u3", "e@f.de"]),
    ]
    _, again = planned(open_source(str(out), asked))
    assert [(one.reason, one.raw) for one in again] == [
        ("bad-address", ("u1", "nobody", "a, b")),
        ("unreadable-row", ("u3", "e@f.de")),
    ]
    out.write_text(out.read_text().replace("nobody", "a@b.de").replace("u3,e@f.de", "u3,e@f.de,C"))
    jobs, none = planned(open_source(str(out), asked))
    assert not none
    assert [(job.user_id, job.email, job.data) for job in jobs] == [
        ("u1", "a@b.de", {"name": "a, b"}),
        ("u3", "e@f.de", {"name": "C"}),
    ]


def test_a_clean_run_takes_its_own_old_rejects_away(tmp_path: Path) -> None:
    """And a run that failed leaves the old file as it was."""
    path, out = source_at(tmp_path / "a.csv", HEADER + "u1,nobody,A\n"), tmp_path / "out.csv"
    assert rejected(path, out) == str(out)
    before = out.read_text()
    source_at(path, HEADER + "u1,a@b.de,A\n")
    assert rejected(path, out, keep=False) is None
    assert out.read_text() == before
    assert rejected(path, out) is None
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.csv"]


def test_rejects_never_go_over_anything_else(tmp_path: Path) -> None:
    """Not over the source, under whatever name, not over another file, and not where nothing can be written."""
    path = source_at(tmp_path / "a.csv", HEADER + "u1,nobody,A\n")
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    notes = source_at(tmp_path / "notes.txt", "mine\n")
    for out, says in (
        (path, "is the source itself"),
        (link, "is the source itself"),
        (notes, "is not written over"),
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "out.csv", "could not be written"),
    ):
        with pytest.raises(UsageError, match=says):
            rejected(path, out)
    assert path.read_text() == HEADER + "u1,nobody,A\n"
    assert rejected(path, Path(os.devnull)) == os.devnull
    assert Path(os.devnull).is_char_device()


def test_each_source_has_rejects_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the same name in other folders, of other kinds, and answers of queries."""
    monkeypatch.chdir(tmp_path)
    uris = ["users.csv", "users.parquet", "/other/users.csv", "s3://a/users.csv", "s3://b/users.csv"]
    names = [str(rejects_path(uri, "users.csv", "2026-11")) for uri in uris]
    assert names[0] == "users-2026-11.rejects.csv"
    assert len(set(names)) == len(uris)
    assert all(name.startswith("users") and name.endswith("-2026-11.rejects.csv") for name in names)
