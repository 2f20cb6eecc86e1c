"""Files that are no source, by how they begin: each with what it is and what to do instead. None is shown."""

from __future__ import annotations

import re
from shlex import quote

from schemas.runtime.errors import SourceError

__all__ = ["as_text", "no_source"]

_SAVE_AS = "open it and save it as .xlsx or as CSV UTF-8"
_AGAIN = "download it again, and look at what comes"
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"PARE", "an encrypted Parquet file", "write it anew without encryption"),
    (b"%PDF-", "a PDF document", "ask for the table it was made from, as CSV or .xlsx"),
    (b"\xfd7zXZ\x00", "compressed by xz", "unpack it: xz -dk {name}"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it: 7z x {name}"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it: unrar x {name}"),
    (b"\x04\x22\x4d\x18", "compressed by lz4", "unpack it: lz4 -dk {name}"),
    (b"\xff\x06\x00\x00sNaPpY", "compressed by snappy", "write it anew as gzip or zstd"),
    (b"ORC", "an ORC file", "write it anew as Parquet"),
    (b"Obj\x01", "an Avro file", "write it anew as Parquet or JSON lines"),
    (b"ARROW1", "an Arrow file", "write it anew as Parquet"),
    (b"FEA1", "a Feather file", "write it anew as Parquet"),
    (b"SQLite format 3\x00", "a SQLite database", "ask it: sqlite:///{name}?query=FILE.sql"),
    (b"PGDMP", "a dump of PostgreSQL", "ask the database itself: postgresql://…?query=FILE.sql"),
    (b"{\\rtf", "a text with formats (RTF)", "save it as plain text: CSV UTF-8"),
    (b"\x89PNG", "a picture", "ask for the table it shows, as CSV or .xlsx"),
    (b"\xff\xd8\xff", "a picture", "ask for the table it shows, as CSV or .xlsx"),
    (b"GIF8", "a picture", "ask for the table it shows, as CSV or .xlsx"),
    (b"\x7fELF", "a program", "name the table"),
    (b"-----BEGIN PGP MESSAGE", "encrypted by PGP", "decrypt it: gpg -d {name} > plain.csv"),
    (b"age-encryption.org/", "encrypted by age", "decrypt it: age -d {name} > plain.csv"),
    (b"Salted__", "encrypted by OpenSSL", "decrypt it first"),
    (
        b"version https://git-lfs.github.com/spec/",
        "only a pointer of Git LFS",
        "fetch the file: git lfs pull -I {name}",
    ),
    (b"/annex/objects/", "only a pointer of git-annex", "fetch the file: git annex get {name}"),
    (b"\x80\x04\x95", "a Python pickle", "write it anew: to_csv or to_parquet of its data frame"),
    (b"\x89HDF", "an HDF5 file", "write it anew as Parquet"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LOCKED = "EncryptedPackage".encode("utf-16-le")
_SQL = re.compile(rb"\s*(?:--|/\*|CREATE |INSERT |SET |BEGIN|DROP )", re.IGNORECASE)
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\x1a\x1f\0"))
_CONTROLS_MAX = 0.05


def no_source(head: bytes, name: str) -> SourceError | None:
    """Why a file that begins so can be no source, whatever its name; ``None`` where nothing speaks against it."""
    for begin, what, fix in _BEGINNINGS:
        if head.startswith(begin):
            return _refused(name, what, fix)
    if head.startswith(_OLE):
        if _LOCKED in head:
            return _refused(name, "protected by a password", "open it in Excel, take the password away, save it")
        return _refused(name, "a document of an old Office (.xls, .doc)", _SAVE_AS)
    if head[257:262] == b"ustar":
        return _refused(name, "a tar archive", "unpack it: tar xf {name}")
    if head[8:12] == b"DUCK":
        return _refused(name, "a DuckDB database", "COPY its table to a Parquet file")
    return None


def as_text(head: bytes, name: str) -> SourceError | None:
    """Why a file that is no known kind is no text of rows either; `head` is UTF-8."""
    start = head.lstrip(b" \t\r\n")[:200].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<table", b"<meta")):
        return _refused(name, "a web page (of a login, of an error, or a table saved as one)", _AGAIN)
    if start.startswith(b"<"):
        return _refused(name, "XML (an error of S3's, or a table saved as such)", f"{_AGAIN}; of a table: {_SAVE_AS}")
    if _SQL.match(head) and b"@" not in head.partition(b"\n")[0]:
        return _refused(name, "SQL", "to ask a query: duckdb:///FILE.sql, or a database with ?query=FILE.sql")
    if len(head) - len(head.translate(None, _CONTROL)) > _CONTROLS_MAX * len(head) or not head.strip(b"\0"):
        return _refused(
            name, "no text and of no kind that is known here", "write it as CSV UTF-8, JSON lines or Parquet"
        )
    return None


def _refused(name: str, what: str, fix: str) -> SourceError:
    return SourceError(f"{name} is {what}, which is no source: {fix.replace('{name}', quote(name))}")
