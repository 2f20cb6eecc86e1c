"""Files as sources: local or in S3, one or many, by their endings."""

from __future__ import annotations

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from producer.sources import Asked
from producer.sources.csv_text import stage_csv
from producer.sources.json_text import stage_json
from producer.sources.parquet import stage_parquet
from producer.staging.staged import Staged
from producer.staging.store import Staging
from schemas.runtime.errors import SourceError

__all__ = ["digest_of", "open_files", "stage_file", "staged_files"]

_JSON = (".json", ".jsonl")


def open_files(uri: str, asked: Asked) -> Staged:
    """A path, ``file://`` or ``s3://BUCKET/KEY``, with ``*`` for many, or a prefix that ends in ``/``."""
    if uri.startswith("s3://"):
        from producer.sources.objects import open_objects

        return open_objects(uri, asked)
    place = unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri
    staging = Staging(asked.renames)
    if any(char in place for char in "*?[") and not Path(place).is_file():
        paths = [Path(found) for found in sorted(glob.glob(place, recursive=True)) if Path(found).is_file()]
        if not paths:
            raise SourceError(f"{place}: no file is named like that")
        staging.paths += paths
        names = Counter(path.name for path in paths)
        return staged_files(
            staging, [(path, path.name if names[path.name] == 1 else str(path)) for path in paths], place
        )
    if not Path(place).is_file():
        raise SourceError(f"{place}: there is no such file")
    staging.paths.append(Path(place))
    snapshot = stage_file(staging, Path(place), Path(place).name)
    return Staged(staging, Path(place).name, snapshot)


def staged_files(staging: Staging, files: Iterable[tuple[Path, str]], name: str, snapshot: str = "") -> Staged:
    """Files by path and name, one after the other, as one source. Raises `SourceError`."""
    digests = [f"{name} {stage_file(staging, path, name)}" for path, name in files]
    together = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return Staged(staging, name, snapshot or f"sha256:{together[:32]}", many=True)


def stage_file(staging: Staging, path: Path, name: str) -> str:
    """Reads a file into the staging, by its ending; returns its digest.

    Raises `SourceError` for one that is no source, or that changes while it is read.
    """
    before = _state(path)
    if path.suffix == ".parquet":
        digest = digest_of(path)
        stage_parquet(staging, path, name)
    else:
        read = stage_json if path.suffix in _JSON else stage_csv
        with path.open("rb") as text:
            digest, size = read(staging, text, name)
        if size != before[1]:
            raise _changed(path)
    if _state(path) != before:
        raise _changed(path)
    return digest


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
