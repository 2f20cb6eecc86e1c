"""What people have: every form of a table gives the same jobs, and what is no table gives one sentence with its cure."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import os
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from producer.rows import Row
from producer.sources import Asked, csv_text, files, open_source
from producer.sources.encodings import check_encoding
from producer.sources.unpacked import unpacked, zstd
from schemas.codec import fingerprint
from schemas.runtime.errors import SourceError, UsageError
from tests.support.plans import planned
from tests.support.workbooks import write_xlsx

HEADER = ["user_id", "email", "name", "plan"]
TABLE = [
    ["u1", "a@b.de", "Zoë Müller", "Plus"],
    ["7", "c@d.de", 'say "hi"; a|b, c', "Basic"],
    ["u3", "e@f.de", "", "1,50"],
]


def as_csv(separator: str = ",", *, end: str = "\n", more: str = "") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows([HEADER, *TABLE])
    return out.getvalue().replace("\n", more + end)


def as_lines() -> str:
    return "".join(json.dumps(dict(zip(HEADER, row, strict=True)), ensure_ascii=False) + "\n" for row in TABLE)


def jobs_at(place: Path | str, asked: Asked | None = None) -> dict[str, str]:
    jobs, rejects = planned(open_source(str(place), asked))
    assert not rejects, rejects
    return {job.user_id: fingerprint(job) for job in jobs}


@pytest.fixture
def expected(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "users.csv").write_text(as_csv())
    return jobs_at(tmp_path / "plain" / "users.csv")


def _parquet(path: Path) -> bytes:
    rows = ", ".join("(" + ", ".join("'" + cell.replace("'", "''") + "'" for cell in row) + ")" for row in TABLE)
    duckdb.execute(f"COPY (SELECT * FROM (VALUES {rows}) t({', '.join(HEADER)})) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


TEXT, LINES = as_csv().encode(), as_lines().encode()
FORMS: dict[str, bytes | Callable[[Path], bytes]] = {
    "users.csv": TEXT,
    "USERS.CSV": TEXT,
    "users": TEXT,
    "semicolon.csv": as_csv(";").encode(),
    "tab.tsv": as_csv("\t").encode(),
    "tab.txt": as_csv("\t", end="\r\n").encode(),
    "bar.csv": as_csv("|").encode(),
    "excel.csv": b"sep=;\r\n" + as_csv(";", end="\r\n").encode(),
    "excel-quoted.csv": b'"sep=\t"\r\n' + as_csv("\t", end="\r\n").encode(),
    "mark.csv": b"\xef\xbb\xbf" + TEXT,
    "excel-mark.csv": b"\xef\xbb\xbfsep=;\n" + as_csv(";").encode(),
    "utf-16-le.txt": b"\xff\xfe" + as_csv("\t").encode("utf-16-le"),
    "utf-16-be.csv": b"\xfe\xff" + TEXT.decode().encode("utf-16-be"),
    "utf-32.csv": TEXT.decode().encode("utf-32"),
    "utf-16.json": as_lines().encode("utf-16"),
    "trailing-columns.csv": as_csv(more=",,,").encode(),
    "trailing-rows.csv": TEXT + b",,,\n" * 4 + b"\n\n",
    "empty-row-within.csv": TEXT.replace(b"u3", b",,,\nu3"),
    "users.json": json.dumps([dict(zip(HEADER, row, strict=True)) for row in TABLE], indent=1).encode(),
    "users.jsonl": LINES,
    "users.ndjson": LINES,
    "users.JSONL": LINES,
    "mark.json": b"\xef\xbb\xbf" + LINES,
    "lines-without-an-ending": LINES,
    "users.csv.gz": gzip.compress(TEXT),
    "USERS.CSV.GZ": gzip.compress(TEXT),
    "called-csv-but-packed.csv": gzip.compress(TEXT),
    "called-packed-but-plain.csv.gz": TEXT,
    "two-members.csv.gz": gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:]),
    "padded.csv.gz": gzip.compress(TEXT) + b"\0" * 512,
    "users.csv.bz2": bz2.compress(TEXT),
    "two-streams.csv.bz2": bz2.compress(TEXT[:50]) + bz2.compress(TEXT[50:]),
    "users.csv.zst": zstd.compress(TEXT),
    "two-frames.csv.zst": zstd.compress(TEXT[:50]) + zstd.compress(TEXT[50:]),
    "with-a-skipped-frame.csv.zst": b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstd.compress(TEXT),
    "users.jsonl.gz": gzip.compress(LINES),
    "users.jsonl.zst": zstd.compress(LINES),
    "utf-16.csv.gz": gzip.compress(as_csv(";").encode("utf-16")),
    "users.parquet": _parquet,
    "users.parq": _parquet,
    "USERS.PARQUET": _parquet,
    "parquet-without-an-ending": _parquet,
    "users.xlsx": lambda path: write_xlsx(path, [HEADER, *TABLE]).read_bytes(),
    "USERS.XLSX": lambda path: write_xlsx(path, [HEADER, *TABLE, ["", "", ""]]).read_bytes(),
    "workbook-without-an-ending": lambda path: write_xlsx(path, [[], HEADER, *TABLE]).read_bytes(),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_table_gives_the_same_jobs(tmp_path: Path, expected: dict[str, str], name: str) -> None:
    """Key and fingerprint: a month can be published from one form and run again from another."""
    content = FORMS[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content(tmp_path / "made"))
    assert jobs_at(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("encoding", "given"),
    [("cp1252", "cp1252"), ("latin-1", "ISO-8859-1"), ("utf-16-le", "UTF-16LE"), ("cp850", "850")],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_encoding_is_asked_for(
    tmp_path: Path, expected: dict[str, str], encoding: str, given: str, pack: Callable[[bytes], bytes]
) -> None:
    """One without a mark, by its name; text is what it was."""
    path = tmp_path / "a.csv"
    path.write_bytes(pack(as_csv(";").encode(encoding)))
    assert jobs_at(path, Asked(encoding=check_encoding(given))) == expected


def test_another_encoding_is_refused_with_the_option_to_paste(tmp_path: Path) -> None:
    """The line, and how it would read; where other lines show that the file is UTF-8, only the row is bad."""
    path = tmp_path / "a.csv"
    path.write_bytes(as_csv().encode("cp1252"))
    with pytest.raises(
        SourceError, match=r"a.csv: line 2 is not UTF-8.*--encoding cp1252.*'u1,a@b.de,Zoë Müller,Plus'"
    ):
        open_source(str(path))
    path.write_bytes(TEXT + b"u9,x@y.de,Zo\xeb,Plus\n")
    _, rejects = planned(open_source(str(path)))
    assert [(one.line, one.detail) for one in rejects] == [(5, "not UTF-8")]
    path.write_bytes("user_id,email,größe\n".encode("cp1252"))
    with pytest.raises(SourceError, match="line 1 is not UTF-8.*größe"):
        open_source(str(path))
    path.with_suffix(".json").write_bytes(as_lines().encode("cp1252"))
    with pytest.raises(SourceError, match="line 1 is not UTF-8.*--encoding cp1252"):
        open_source(str(path.with_suffix(".json")))


def test_bytes_that_end_within_a_letter_are_not_utf_8(tmp_path: Path) -> None:
    """Nor those that a piece ends within, where ASCII follows."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"user_id,email,name\nu1,a@b.de,Zo\xc3")
    with pytest.raises(SourceError, match="line 2 is not UTF-8"):
        open_source(str(path))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_letters_over_the_ends_of_pieces_are_letters(
    tmp_path: Path, expected: dict[str, str], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a file comes in pieces."""
    monkeypatch.setattr(files, "_PIECE", size)
    for name, content in (("a.csv", TEXT), ("b.csv", as_csv().encode("utf-16")), ("c.csv.gz", gzip.compress(TEXT))):
        (tmp_path / name).write_bytes(content)
        assert jobs_at(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("content", "encoding", "says"),
    [
        (TEXT, "cp1252", "is UTF-8 from beginning to end, not cp1252: leave --encoding out"),
        (b"\xef\xbb\xbf" + TEXT, "cp1252", "begins with the mark of utf-8, and is not cp1252"),
        (as_csv().encode("utf-16"), "cp1252", "begins with the mark of utf-16-le"),
        (as_csv().encode("utf-16-le"), "utf-16", "no mark that says in which order.*--encoding utf-16-le"),
        (TEXT.replace(b"Plus", b"10 \x80"), "latin-1", "is UTF-8|line 2: byte 0x80 is no letter.*--encoding cp1252"),
        (b"user_id,email,a\nu1,a@b.de,10 \x80\n", "latin-1", "line 2: byte 0x80 is no letter.*--encoding cp1252"),
        (b"user_id,email,a\nu1,a@b.de,\x81\n", "cp1252", "line 2: byte 0x81 is no letter in cp1252"),
        (as_csv().encode("utf-16-le")[:-1], "utf-16-le", "ends inside a letter"),
    ],
)
def test_an_encoding_that_is_not_the_files_is_refused(tmp_path: Path, content: bytes, encoding: str, says: str) -> None:
    """Letters are never mailed that nobody wrote."""
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=says):
        open_source(str(path), Asked(encoding=check_encoding(encoding)))


@pytest.mark.parametrize("given", ["utf8x", "base64", "rot13", "idna", "unicode_escape", "undefined"])
def test_an_encoding_that_there_is_not(given: str) -> None:
    """Nor one that is no text's."""
    with pytest.raises(UsageError, match="--encoding"):
        check_encoding(given)


def test_an_encoding_is_for_files(tmp_path: Path) -> None:
    """A query, Parquet and Excel say theirs themselves."""
    for uri in ("duckdb:///q.sql", "athena://x", "postgresql://h/d"):
        with pytest.raises(UsageError, match="--encoding is for files"):
            open_source(uri, Asked(encoding="cp1252"))
    for name in ("users.parquet", "users.xlsx"):
        form = FORMS[name]
        assert not isinstance(form, bytes)
        (tmp_path / name).write_bytes(form(tmp_path / "made"))
        with pytest.raises(SourceError, match="leave --encoding out"):
            open_source(str(tmp_path / name), Asked(encoding="cp1252"))
    assert check_encoding("") == ""
    assert check_encoding("UTF8") == check_encoding("utf-8-sig") == "utf-8"


def _zip(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, TEXT)
    return out.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500
UNREADABLE: list[tuple[str, bytes, str]] = [
    ("a.csv", b"", "a.csv is empty"),
    ("a.csv.gz", gzip.compress(b""), "a.csv.gz is empty"),
    ("a.json", b"[]", "holds no JSON object"),
    ("a.csv", b"\n\nu1,a@b.de\n", "line 1 is empty, and should be the header"),
    ("a.csv", b"\0" * 4096, "no text"),
    ("a.csv", b"\x01\x02\x03\x04" * 100, "no text"),
    ("a.csv", _zip("users.csv"), "is a zip archive.*unzip"),
    ("a.xlsx", _zip("users.csv"), "is a zip archive, and no Excel workbook: unpack it"),
    ("a.xlsx", _zip("word/document.xml"), "document of another kind.*save it as .xlsx"),
    ("a.xlsx", b"user_id,email\nu1,a@b.de\n", "no Excel workbook whatever its name says"),
    ("a.xlsx", OLE + "EncryptedPackage".encode("utf-16-le"), "protected by a password: open it in Excel|protected by"),
    ("a.xls", OLE, "old Office.*save it as .xlsx"),
    ("a.parquet", b"user_id,email\nu1,a@b.de\n", "is no Parquet file whatever its name says"),
    ("a.parquet", b"PAR1" + b"\0" * 50, "cannot be read as parquet"),
    ("a.parquet", b"PARE" + b"\0" * 50, "encrypted Parquet"),
    ("a.parquet.gz", gzip.compress(b"PAR1" + b"\0" * 50), "unpack it first"),
    ("a.csv", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF document"),
    ("a.csv", b"\xfd7zXZ\x00\x00", "compressed by xz.*xz -dk"),
    ("a.csv", b"7z\xbc\xaf\x27\x1c", "is a 7z archive"),
    ("a.csv", b"x" * 257 + b"ustar" + b"\0" * 100, "is a tar archive"),
    ("a.tgz", gzip.compress(b"x" * 257 + b"ustar" + b"\0" * 100), "is a tar archive"),
    ("a.csv", b"Obj\x01\x04\x14avro.codec", "is an Avro file"),
    ("a.db", b"SQLite format 3\x00", "is a SQLite database.*sqlite:///"),
    ("a.db", b"12345678DUCK" + b"\0" * 40, "is a DuckDB database"),
    ("a.csv", b"<!DOCTYPE html>\n<html><title>Sign in</title>", "is a web page"),
    ("a.xls", b"\n <html xmlns:x='urn:schemas-microsoft-com:office:excel'>", "is a web page"),
    ("a.csv", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "is XML"),
    ("a.csv", LFS, "only a pointer of Git LFS.*git lfs pull -I a.csv"),
    ("a.csv", b"/annex/objects/SHA256E-s1--2.csv\n", "git annex get"),
    ("a.csv", b"-----BEGIN PGP MESSAGE-----\n", "encrypted by PGP.*gpg -d"),
    ("a.csv", b"{\\rtf1\\ansi user_id,email}", "RTF"),
    ("a.csv", b"-- dump\nCREATE TABLE users (id int);\n", "is SQL"),
    ("a.csv", LINES, "is JSON, whatever its name says: rename it to .jsonl"),
    ("a.csv", b"u1,a@b.de,Zo\nu2,c@d.de,Y\n", "line 1 is a row already"),
    ("a.csv", b"user_id;mail;name\nu1;a@b.de;x\n", "lacks the column email.*it has user_id, mail, name"),
    ("a.csv", b"sep=:\nuser_id:email\n", "comma, semicolon, tab"),
    ("a.csv", as_csv().encode("utf-16-le"), "looks like UTF-16 without its mark: add --encoding utf-16-le"),
    ("a.csv", as_csv().encode("utf-16-be"), "add --encoding utf-16-be"),
    ("a.csv.gz", gzip.compress(TEXT)[:-9], "is cut off.*gzip -t"),
    ("a.csv.gz", gzip.compress(TEXT)[:-8] + b"\0" * 8, "is damaged"),
    ("a.csv.gz", gzip.compress(TEXT) + b"more", "something that is no gzip follows"),
    ("a.csv.gz", gzip.compress(TEXT) + b"\0" * 9 + b"more", "something that is no gzip follows"),
    ("a.csv.gz", gzip.compress(TEXT) + gzip.compress(TEXT)[:20], "is cut off"),
    ("a.csv.gz", gzip.compress(gzip.compress(TEXT)), "compressed twice"),
    ("a.csv.bz2", bz2.compress(TEXT)[:-5], "is cut off.*bzip2 -t"),
    ("a.csv.bz2", bz2.compress(TEXT) + b"more", "something that is no bzip2 follows"),
    ("a.csv.zst", zstd.compress(TEXT)[:-5], "is cut off.*zstd -t"),
    ("a.csv.zst", zstd.compress(TEXT) + b"more", "something that is no zstd follows"),
    ("a.jsonl.gz", gzip.compress(LINES)[:-3], "is cut off"),
]


@pytest.mark.parametrize(
    ("name", "content", "says"), UNREADABLE, ids=[f"{name}-{says}" for name, _, says in UNREADABLE]
)
def test_what_is_no_source_is_one_sentence_with_its_cure(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    """No traceback, nothing of a binary file on the screen, nothing of it published."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=says) as raised:
        open_source(str(path))
    told = str(raised.value)
    assert len(told) < 400
    assert told.isprintable()
    assert told.startswith(name)


def test_what_unpacks_to_much_takes_little_memory() -> None:
    """A small file may hold gigabytes: they come in pieces."""
    for compression, packed in (
        ("gzip", gzip.compress(bytes(1 << 24))),
        ("bzip2", bz2.compress(bytes(1 << 24))),
        ("zstd", zstd.compress(bytes(1 << 24))),
    ):
        sizes = [len(piece) for piece in unpacked(iter([packed]), compression, "a")]
        assert sum(sizes) == 1 << 24
        assert max(sizes) <= 1 << 18


@pytest.mark.parametrize("block", [1, 25, 1 << 20])
def test_a_row_without_a_value_is_none_wherever_it_stands(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a blank line; in a stretch that is passed on whole, too."""
    monkeypatch.setattr(csv_text, "_BLOCK", block)
    path = tmp_path / "a.csv"
    path.write_text("user_id,email,name\n,,\nu1,a@b.de,x\n,,\r\nu2,a@b.de,x\n,,\n,,x\n,,")
    jobs, rejects = planned(open_source(str(path)))
    assert [(job.user_id, job.provenance and job.provenance.row) for job in jobs] == [("u1", 3), ("u2", 5)]
    assert [(one.line, one.reason) for one in rejects] == [(7, "missing-user-id")]


def test_a_value_under_no_name_is_refused(tmp_path: Path) -> None:
    """Columns without a name are dropped while they are empty, and no longer."""
    path = tmp_path / "a.csv"
    path.write_text("user_id,email,,\nu1,a@b.de,,\nu2,c@d.de,x,\nu3,e@f.de\nu4,e@f.de,,,\n,,,\n")
    source = open_source(str(path))
    assert [(row.line, row.problem) for row in source.rows()] == [
        (2, None),
        (3, "a value in column 3 or later, which has no name in the header"),
        (4, None),
        (5, "5 fields, the header has 2"),
    ]


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ("NULL", "the word for a value that is missing"),
        ("\\N", "the word for a value that is missing"),
        ("NaN", "the word for a value that is missing"),
        ("1.23E+15", "its digits are lost"),
        ("1,23E+15", "its digits are lost"),
        ("1e+20", "its digits are lost"),
        ('="007"', "a formula"),
        ("#N/A", "an error of a spreadsheet"),
    ],
)
def test_an_id_that_a_program_made_of_one_is_refused(tmp_path: Path, user: str, says: str) -> None:
    """With the reason; several users would share it, or a user have another one next month."""
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([["user_id", "email"], [user, "a@b.de"], ["u2", "c@d.de"]])
    jobs, rejects = planned(open_source(str(path)))
    assert [job.user_id for job in jobs] == ["u2"]
    assert [(one.line, one.reason) for one in rejects] == [(2, "bad-user-id")]
    assert says in rejects[0].detail


@pytest.mark.parametrize("user", ["12e45", "7e10", "Nullmann", "nancy", "N", "=", "1.5", "E+15", "ü"])
def test_an_id_that_is_only_like_one_is_taken(tmp_path: Path, user: str) -> None:
    """Hexadecimal digits and names are ids."""
    path = tmp_path / "a.csv"
    path.write_text(f"user_id,email\n{user},a@b.de\n", encoding="utf-8")
    assert list(jobs_at(path)) == [user]


# ---- places ----


def _rows(place: str) -> list[tuple[str, int]]:
    found: list[Row] = list(open_source(place).rows())
    return [(row.file, row.line) for row in found]


def test_a_folder_is_its_files(tmp_path: Path) -> None:
    """In the order of their names; what writers put beside them is passed over and told of, and what is empty."""
    folder = tmp_path / "out"
    (folder / "day=1").mkdir(parents=True)
    (folder / "_temporary").mkdir()
    head = b"user_id,email,name\n"
    (folder / "day=1" / "part-0.csv").write_bytes(head + b"u1,a@b.de,x\n")
    (folder / "part-1.csv.gz").write_bytes(gzip.compress(head + b"u2,a@b.de,x\n"))
    (folder / "part-2.csv.gz").write_bytes(gzip.compress(b""))
    (folder / "part-3.csv").write_bytes(b"user_id,email,tariff\nu3,a@b.de,x\n")
    for name in ("_SUCCESS", ".part-1.csv.gz.crc", "part-4.csv", "x.csv.metadata", "_temporary/part-9.csv", "a.crc"):
        (folder / name).write_bytes(b"" if name in {"_SUCCESS", "part-4.csv"} else head + b"bad,bad@b.de,x\n")
    for place in (str(folder), f"{folder}/", f"{folder}/**/*"):
        assert _rows(place) == [("part-0.csv", 2), ("part-1.csv.gz", 2), ("part-3.csv", 2)]
    notes = open_source(str(folder)).staging.notes
    assert "_SUCCESS" in notes[0]
    assert notes[1:] == [
        "passed over, as empty: part-2.csv.gz",
        "part-3.csv has other columns than part-0.csv: it lacks name and has tariff besides",
    ]
    assert _rows(f"{folder}/_temp*/*") == [("part-9.csv", 2)]
    assert [row.line for row in open_source(f"{folder}/_temporary/part-9.csv").rows()] == [2]
    for name in ("part-0.csv", "part-1.csv.gz", "part-3.csv"):
        for path in folder.rglob(name):
            path.unlink()
    for place in (str(folder), f"{folder}/part-2*"):
        with pytest.raises(SourceError, match="has no file with data"):
            open_source(place)


def test_what_is_piped_in(tmp_path: Path, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input under both names, a named pipe; any form; a terminal is no source."""
    for place in ("-", "/dev/stdin"):
        with (tmp_path / "in").open("w+b") as content:
            content.write(gzip.compress(TEXT))
            content.seek(0)
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.read())))
        assert jobs_at(place) == expected
    source = _typed_in(monkeypatch)
    with pytest.raises(UsageError, match="nothing is piped in"):
        open_source("-")
    source.close()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(as_csv(";").encode(),))
    writer.start()
    assert jobs_at(tmp_path / "pipe") == expected
    writer.join()
    with pytest.raises(SourceError, match="there is no such file"):
        open_source(str(tmp_path / "none"))


def _typed_in(monkeypatch: pytest.MonkeyPatch) -> io.TextIOWrapper:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    terminal = Terminal(io.BytesIO())
    monkeypatch.setattr(sys, "stdin", terminal)
    return terminal
