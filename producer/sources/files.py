"""Files as sources: local or in S3, one or many, by their endings."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from producer.sources import Asked, Row, Source
from producer.sources.columns import ColumnsFile
from producer.sources.csv_file import CsvFile
from producer.sources.spool import Spool
from schemas.runtime.errors import SourceError

__all__ = ["ManyFiles", "fetch", "open_files", "s3_client"]

_CHUNK = 1 << 20
_COLUMNS = (".parquet", ".json", ".jsonl")


def open_files(uri: str, asked: Asked) -> Source:
    """A path, ``file://`` or ``s3://BUCKET/KEY``, with ``*`` for many, or a prefix that ends in ``/``."""
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        return _open_objects(parts.netloc, unquote(parts.path).lstrip("/"), asked)
    place = unquote(parts.path) if parts.scheme == "file" else uri
    if any(char in place for char in "*?[") and not Path(place).is_file():
        paths = [Path(found) for found in sorted(glob.glob(place, recursive=True)) if Path(found).is_file()]
        if not paths:
            raise SourceError(f"{place}: no file is named like that")
        return ManyFiles([_open(path, asked, path.name) for path in paths], place)
    if not Path(place).is_file():
        raise SourceError(f"{place}: there is no such file")
    return _open(Path(place), asked, Path(place).name)


def _open(path: Path, asked: Asked, name: str) -> Source:
    return ColumnsFile(path, asked, name=name) if path.suffix in _COLUMNS else CsvFile(path, asked, name=name)


class ManyFiles:
    """Several files, one after the other, in the order of their names."""

    def __init__(self, files: list[Source], name: str, keep: Any = None, snapshot: str = "") -> None:
        self._files = files
        self._keep = keep
        self.name = name
        together = hashlib.sha256("\n".join(f"{file.name} {file.snapshot}" for file in files).encode())
        self.snapshot = snapshot or f"sha256:{together.hexdigest()[:32]}"

    def rows(self) -> Iterator[Row]:
        number = 0
        for file in self._files:
            for row in file.rows():
                number += 1
                yield Row(row.line, row.values, row.problem, row.raw, file.name, number)

    def user_ids(self) -> Iterator[tuple[int, str]]:
        number = 0
        for file in self._files:
            for _, user_id in file.user_ids():
                number += 1
                yield number, user_id


# ---- S3 ----


def s3_client() -> Any:
    try:
        return boto3.client("s3")
    except BotoCoreError as error:
        raise SourceError(f"boto3 cannot make an S3 client: {error}; set AWS_REGION and credentials") from None


def fetch(client: Any, bucket: str, key: str, folder: Path) -> Path:
    """Downloads an object piece by piece; raises `SourceError`."""
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}{Path(key).suffix}"
    try:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        with path.open("wb") as out:
            for piece in body.iter_chunks(_CHUNK):
                out.write(piece)
    except (ClientError, BotoCoreError) as error:
        raise SourceError(f"s3://{bucket}/{key}: {error}") from None
    return path


def _open_objects(bucket: str, key: str, asked: Asked) -> Source:
    client = s3_client()
    spool = Spool()
    keys = _keys(client, bucket, key) if key.endswith("/") or "*" in key else [key]
    if not keys:
        raise SourceError(f"s3://{bucket}/{key}: there is no such object")
    files = []
    for count, one in enumerate(keys, 1):
        asked.say(f"fetching {count} of {len(keys)}")
        files.append(_open(fetch(client, bucket, one, spool.folder), asked, f"s3://{bucket}/{one}"))
    return ManyFiles(files, f"s3://{bucket}/{key}", spool)


def _keys(client: Any, bucket: str, pattern: str) -> list[str]:
    prefix, star, rest = pattern.partition("*")
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    except (ClientError, BotoCoreError) as error:
        raise SourceError(f"s3://{bucket}/{prefix}: {error}") from None
    return sorted(key for key in found if not key.endswith("/") and (not star or key.endswith(rest)))
