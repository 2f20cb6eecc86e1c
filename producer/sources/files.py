"""Files as sources: local or in S3, one or many; each read as what it is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from producer.sources import Asked
from producer.sources.csv_text import stage_csv
from producer.sources.encodings import UTF_8, Stream, as_utf8, watched, without_mark
from producer.sources.json_text import stage_json
from producer.sources.kinds import HEAD_BYTES, Kind, kind_of
from producer.sources.names import EmptySource
from producer.sources.parquet import stage_parquet
from producer.sources.places import STDIN, names_of, piped, several
from producer.sources.unpacked import unpacked
from producer.staging.staged import Staged
from producer.staging.store import Staging
from schemas.runtime.errors import SourceError

__all__ = ["digest_of", "open_files", "stage_file", "staged_files"]

_PIECE = 1 << 20
_NOTED = 5


def open_files(uri: str, asked: Asked) -> Staged:
    """A path, ``file://`` or ``s3://BUCKET/KEY``, with ``*`` for many; a folder; ``-`` for what is piped in."""
    if uri.startswith("s3://"):
        from producer.sources.objects import open_objects

        return open_objects(uri, asked)
    place = unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri
    staging = Staging(asked.renames)
    if (chosen := several(place)) is not None:
        paths = [Path(found) for found in chosen.files]
        staging.paths += paths
        staging.notes += chosen.note()
        files = zip(paths, names_of(paths), strict=True)
        return staged_files(staging, files, place, encoding=asked.encoding)
    kept = piped(place, staging.folder.path)
    name = "stdin" if place in STDIN else Path(place).name
    if kept is None:
        staging.paths.append(Path(place))
    return Staged(staging, name, stage_file(staging, kept or Path(place), name, asked.encoding))


def staged_files(
    staging: Staging, files: Iterable[tuple[Path, str]], name: str, snapshot: str = "", encoding: str = ""
) -> Staged:
    """Files by path and name, one after the other, as one source; empty ones are passed over. Raises `SourceError`."""
    digests, empty = [], []
    for path, one in files:
        try:
            digests.append(f"{one} {stage_file(staging, path, one, encoding)}")
        except EmptySource:
            empty.append(one)
    if not digests:
        raise SourceError(f"{name} has no file with data: {', '.join(empty[:_NOTED])}")
    staging.notes += [f"passed over, as empty: {one}" for one in empty[:_NOTED]]
    staging.notes += list(islice(_different(staging), _NOTED))
    together = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return Staged(staging, name, snapshot or f"sha256:{together[:32]}", many=True)


def _different(staging: Staging) -> Iterator[str]:
    """Files whose columns are not those of the first one."""
    first, _, known = staging.files[0]
    for name, _, columns in staging.files[1:]:
        lacks, more = sorted(set(known) - set(columns)), sorted(set(columns) - set(known))
        if lacks or more:
            what = [f"lacks {', '.join(lacks)}"] if lacks else []
            what += [f"has {', '.join(more)} besides"] if more else []
            yield f"{name} has other columns than {first}: it {' and '.join(what)}"


def stage_file(staging: Staging, path: Path, name: str, encoding: str = "") -> str:
    """Reads a file into the staging, by what it is; returns its digest.

    Raises `SourceError` for one that is no source, that is not whole, or that changes while it is read.
    """
    before = _state(path)
    kind = _kind(path, name, encoding)
    staging.tell(name, format=kind.format, compression=kind.compression, encoding=kind.encoding)
    if kind.format == "parquet":
        digest = digest_of(path)
        stage_parquet(staging, path, name)
    elif kind.format == "xlsx":
        from producer.sources.workbook import stage_workbook  # seldom, and slow to import

        digest = digest_of(path)
        stage_workbook(staging, path, name)
    else:
        read = stage_json if kind.format == "json" else stage_csv
        with path.open("rb") as content:
            # Buffered, for the readers ask for lines.
            text = BufferedReader(Stream(_text(content, kind, name)), _PIECE)
            digest, _ = read(staging, text, name)
            if content.tell() != before[1]:
                raise _changed(path)
    if _state(path) != before:
        raise _changed(path)
    return digest


def _kind(path: Path, name: str, encoding: str) -> Kind:
    try:
        with path.open("rb") as content:
            head = content.read(HEAD_BYTES)
            if not head:
                raise EmptySource(name)
            kind = kind_of(head, name, encoding)
            if kind.format:
                return kind
            content.seek(0)
            inner = _head(unpacked(_pieces(content), kind.compression, name))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if not inner:
        raise EmptySource(name)
    return kind_of(inner, name, encoding, kind.compression)


def _head(pieces: Iterator[bytes]) -> bytes:
    head = b""
    while len(head) < HEAD_BYTES and (piece := next(pieces, b"")):
        head += piece
    return head


def _text(content: IO[bytes], kind: Kind, name: str) -> Iterator[bytes]:
    """A file's text, unpacked and in UTF-8 without a mark, piece by piece."""
    pieces = _pieces(content)
    if kind.compression:
        pieces = unpacked(pieces, kind.compression, name)
    pieces = without_mark(pieces)
    return watched(pieces, name) if kind.encoding == UTF_8 else as_utf8(pieces, kind.encoding, name)


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    while piece := content.read(_PIECE):
        yield piece


def digest_of(path: Path) -> str:
    """A file's snapshot. Raises `SourceError`."""
    try:
        with path.open("rb") as content:
            return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()[:32]}"
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    return found.st_ino, found.st_size, found.st_mtime_ns


def _changed(path: Path) -> SourceError:
    return SourceError(
        f"{path} changed while it was read: nothing was published. Wait until whoever writes it is done, then run the "
        f"same command again"
    )
