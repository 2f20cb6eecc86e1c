"""Rows from JSON: an object a line, or a list of objects, or objects one after the other.

Python reads it and keeps each value's own text: numbers are not taken for numbers, nor texts for dates. What is an
object or a list in a row stays one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import IO

import msgspec

from producer.rows import NEEDED
from producer.sources.json_objects import ROW_BYTES_MAX, SPACE, objects_of
from producer.sources.names import EmptySource, check_columns
from producer.staging.spool import Part
from producer.staging.store import Staging
from schemas.gate import depth_above
from schemas.invisible import invisible
from schemas.limits import DEPTH_MAX

__all__ = ["stage_json"]

_PIECE = 1 << 18
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)
_any = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode


class _NoRow(Exception):
    """Why an object is no row."""


class _Read:
    """The text, its digest and its size."""

    def __init__(self, text: IO[bytes]) -> None:
        self._text = text
        self._hash = hashlib.sha256()
        self.size = 0

    def lines(self) -> Iterator[bytes]:
        while line := self._text.readline(ROW_BYTES_MAX):
            yield self._noted(line)

    def piece(self) -> bytes:
        return self._noted(self._text.read(_PIECE))

    def _noted(self, read: bytes) -> bytes:
        self._hash.update(read)
        self.size += len(read)
        return read

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()[:32]}"


def stage_json(into: Staging, text: IO[bytes], name: str) -> tuple[str, int]:
    """Reads `text`, UTF-8 without a mark, into the staging; returns its digest and its size in bytes.

    Raises `SourceError`.
    """
    read = _Read(text)
    lines = read.lines()
    head = b""
    number = 0
    for line in lines:
        number += 1
        if head := line.strip(SPACE):
            head = line
            break
    columns: dict[str, None] = {}
    with into.part(name, [], ready=True) as part:
        if head and _is_object(head):
            _lines(part, into, lines, head, number, columns)
        elif head:
            for at, found in objects_of(read.piece, head, number, name):
                _row(part, into, found, at, columns)
        if part.count == 0:
            raise EmptySource(name, "holds no JSON object: user_id, email and the template's data are needed")
        if columns:
            check_columns(name, list(columns))
        part.columns = part.names = list(columns or NEEDED)
    return read.digest, read.size


def _is_object(line: bytes) -> bool:
    """Whether the first line is a row by itself, or at least meant to be one."""
    try:
        _object.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return line.lstrip(SPACE)[:1] == b"{" and line.rstrip(SPACE)[-1:] == b"}"
    return True


def _lines(
    part: Part, into: Staging, lines: Iterator[bytes], head: bytes, number: int, columns: dict[str, None]
) -> None:
    _row(part, into, head.strip(SPACE), number, columns)
    begun = False
    for line in lines:
        if begun:
            # The rest of a line that was too long: it is no row.
            begun = not line.endswith(b"\n")
            continue
        number += 1
        if len(line) >= ROW_BYTES_MAX and not line.endswith(b"\n"):
            part.refuse(number, f"a row of more than {ROW_BYTES_MAX:,} bytes", [line[:65_536].decode(errors="replace")])
            begun = True
        elif stripped := line.strip(SPACE):
            _row(part, into, stripped, number, columns)


def _row(part: Part, into: Staging, line: bytes, number: int, columns: dict[str, None]) -> None:
    try:
        part.row(number, _cells(into, line, columns))
    except (_NoRow, msgspec.MsgspecError, UnicodeDecodeError) as why:
        problem = str(why) if isinstance(why, _NoRow) else f"not readable as a JSON object: {why}"
        part.refuse(number, problem, [line.decode("utf-8", "surrogateescape")])


def _cells(into: Staging, line: bytes, columns: dict[str, None]) -> tuple[str, str, str]:
    """Id, address and the rest of an object, in its own words."""
    if depth_above(line, DEPTH_MAX):
        raise _NoRow(f"nested deeper than {DEPTH_MAX} levels")
    found = _object.decode(line)
    if b"\\u0000" in line and _holds_nul(_any.decode(line)):
        raise _NoRow("holds a NUL character")
    members = {into.renames.get(own.strip(), own.strip()): bytes(value) for own, value in found.items()}
    _check_names(line, found, members)
    columns.update(dict.fromkeys(members))
    user_id, email = (_scalar(name, members.pop(name, b'""')) for name in NEEDED)
    data = ",".join(f"{_encode(name).decode()}:{_json(value)}" for name, value in members.items())
    return user_id, email, f"{{{data}}}"


def _holds_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(name) or _holds_nul(one) for name, one in value.items())
    return any(map(_holds_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def _check_names(line: bytes, found: dict[str, msgspec.Raw], members: dict[str, bytes]) -> None:
    """Raises `_NoRow` for a name that stands there twice, or holds what nobody sees."""
    if len(members) != len(found) or not _all_of(line, found):
        pairs = json.loads(line, object_pairs_hook=list)
        names = [name for name, _ in pairs]
        if twice := {name for name in names if names.count(name) > 1}:
            raise _NoRow(f"names a column twice: {', '.join(sorted(twice))}")
        if len(members) != len(found):
            raise _NoRow("names a column twice, once with spaces around it")
    for name in members:
        if what := invisible(name):
            raise _NoRow(f"the name {name!r} holds {what}")


def _all_of(line: bytes, found: dict[str, msgspec.Raw]) -> bool:
    """Whether the object, as programs write it, holds these members and no others."""
    for comma, colon in ((b",", b":"), (b", ", b": ")):
        if line == b"{" + comma.join([_encode(name) + colon + bytes(value) for name, value in found.items()]) + b"}":
            return True
    return False


def _scalar(name: str, raw: bytes) -> str:
    if raw[:1] in b"{[":
        raise _NoRow(f"{name} is {'an object' if raw[:1] == b'{' else 'a list'}, and must be one value")
    if raw[:1] == b'"':
        return _string.decode(raw)
    return "" if raw == b"null" else raw.decode()


def _json(raw: bytes) -> str:
    """A value as it stands in the job: a text, or an object or a list as it is."""
    first = raw[:1]
    if first == b'"':
        return raw.decode() if b"\\" not in raw else _encode(_string.decode(raw)).decode()
    if first in b"{[":
        value = _any.decode(raw)  # what is no JSON inside is found here
        return raw.decode() if b"\n" not in raw and b"\r" not in raw else _encode(value).decode()
    return '""' if raw == b"null" else f'"{raw.decode()}"'
