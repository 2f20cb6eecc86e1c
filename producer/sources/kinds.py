"""What a file is: by its content where that says so, else by its name. Pure: it is given the file's first bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from shlex import quote

from producer.sources.encodings import UTF_8, mark_of
from producer.sources.unreadable import as_text, no_source
from schemas.runtime.errors import SourceError

__all__ = ["HEAD_BYTES", "Kind", "compression_of", "kind_of", "passed_over"]

HEAD_BYTES = 1 << 16
"""How much of a file's beginning is looked at"""

_COMPRESSIONS = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\x28\xb5\x2f\xfd", "zstd"))
_SKIPPED_BY_ZSTD = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_PACKED = (".gz", ".gzip", ".bz2", ".zst", ".zstd")
_JSON = (".json", ".jsonl", ".ndjson", ".jl")
_PARQUET = (".parquet", ".parq", ".pq")
_CSV = (".csv", ".tsv", ".tab", ".psv")
_OBJECT = re.compile(rb'\s*(?:\[\s*)?\{\s*(?:"|\}|$)|\s*\[\s*\]')
_SHEET_MAIN, _ZIP = b"xl/workbook.xml", b"PK\x03\x04"
_NULS_OF_16_BITS = 0.25


@dataclass(frozen=True, slots=True)
class Kind:
    """How a file is to be read."""

    format: str
    """``csv``, ``json``, ``parquet`` or ``xlsx``"""
    compression: str = ""
    encoding: str = ""
    """of text"""


def compression_of(head: bytes) -> str:
    """``gzip``, ``bzip2``, ``zstd`` or nothing, by the content alone: names lie, as objects in S3 show."""
    if _SKIPPED_BY_ZSTD.match(head):
        return "zstd"
    return next((name for begin, name in _COMPRESSIONS if head.startswith(begin)), "")


def kind_of(head: bytes, name: str, encoding: str = "", compression: str = "") -> Kind:
    """`head` is the beginning of the file's content, unpacked; `encoding` was asked for.

    Raises `SourceError` for a file that is no source, with what to do about it.
    """
    if packed := compression_of(head):
        if compression:
            raise SourceError(f"{name} is compressed twice ({packed} in {compression}): unpack it once")
        return Kind("", packed)
    if head.startswith(_ZIP):
        return _workbook(head, name, encoding, compression)
    ending = ending_of(name)
    if head.startswith(b"PAR1") or ending in _PARQUET:
        return _parquet(head, name, encoding, compression)
    if refused := no_source(head, name):
        raise refused
    if ending in {".xlsx", ".xlsm"}:
        raise SourceError(f"{name} is no Excel workbook whatever its name says: rename it to .csv if it is CSV")
    found = _encoding(head, name, encoding)
    text = head if found == UTF_8 else head.decode(found, "replace").encode()
    text = text.removeprefix(b"\xef\xbb\xbf")
    if refused := as_text(text, name):
        raise refused
    return Kind(_text_format(text, name, ending), compression, found)


def ending_of(name: str) -> str:
    """A name's ending in small letters, that of its compression left out."""
    lower = name.rsplit("/", 1)[-1].lower()
    for packed in _PACKED:
        lower = lower.removesuffix(packed)
    dot = lower.rfind(".")
    return lower[dot:] if dot >= 0 else ""


def _text_format(text: bytes, name: str, ending: str) -> str:
    if ending in _JSON:
        return "json"
    if _OBJECT.match(text):
        if ending in _CSV:
            raise SourceError(f"{name} is JSON, whatever its name says: rename it to .jsonl")
        return "json"
    return "csv"


def _workbook(head: bytes, name: str, encoding: str, compression: str) -> Kind:
    if ending_of(name) not in {".xlsx", ".xlsm"} and _SHEET_MAIN not in head and b"[Content_Types].xml" not in head:
        raise SourceError(
            f"{name} is a zip archive, which is no source: unpack it (unzip {quote(name)}), or, with one file in it, "
            f"`unzip -p {quote(name)} | mailonce sources check -`"
        )
    if compression:
        raise SourceError(f"{name} is an Excel workbook in {compression}: unpack it first")
    _no_encoding(name, "an Excel workbook", encoding)
    return Kind("xlsx")


def _parquet(head: bytes, name: str, encoding: str, compression: str) -> Kind:
    if not head.startswith(b"PAR1"):
        raise no_source(head, name) or SourceError(
            f"{name} is no Parquet file whatever its name says: rename it to .csv or .jsonl if it is such text"
        )
    if compression:
        raise SourceError(f"{name} is Parquet in {compression}, which Parquet does by itself: unpack it first")
    _no_encoding(name, "Parquet", encoding)
    return Kind("parquet")


def _no_encoding(name: str, what: str, encoding: str) -> None:
    if encoding:
        raise SourceError(f"{name} is {what}, whose texts have one encoding: leave --encoding out")


def _encoding(head: bytes, name: str, asked: str) -> str:
    """The encoding of a text. Raises `SourceError` where what is asked for is not what its mark says."""
    if marked := mark_of(head):
        if asked and not marked.startswith(asked):
            raise SourceError(f"{name} begins with the mark of {marked}, and is not {asked}: leave --encoding out")
        return marked
    if asked in {"utf-16", "utf-32"}:
        raise SourceError(
            f"{name} has no mark that says in which order its bytes are: --encoding {asked}-le or {asked}-be"
        )
    if not asked:
        sample = head[:1024]
        for start, order in ((1, "utf-16-le"), (0, "utf-16-be")):
            nuls, others = sample[start::2].count(0), sample[1 - start :: 2].count(0)
            if nuls > _NULS_OF_16_BITS * len(sample) and nuls > 2 * others:
                raise SourceError(f"{name} looks like UTF-16 without its mark: add --encoding {order}")
    return asked or UTF_8


def passed_over(place: str) -> bool:
    """Whether writers put such a file beside their data: ``_SUCCESS``, ``.part-0.crc``, Athena's ``….csv.metadata``.

    `place` is the part of a path that was not named by the operator.
    """
    return any(part.startswith(("_", ".")) for part in place.split("/") if part) or place.lower().endswith(
        (".crc", ".metadata")
    )
