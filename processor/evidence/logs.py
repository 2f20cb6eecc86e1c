"""CloudTrail's log files: one file, a folder, or an S3 prefix; plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from processor.adapters.aws import aws_session
from schemas.runtime.errors import UsageError

__all__ = ["log_files"]


def log_files(place: str) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each log file at a place. Raises `UsageError` when it cannot be read."""
    found = _of_s3(place) if place.startswith("s3://") else _of_disk(Path(place))
    for name, raw in found:
        try:
            yield name, gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(f"{name}: cannot be unpacked: {error}") from None


def _of_disk(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            yield str(file), file.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _of_s3(place: str) -> Iterator[tuple[str, bytes]]:
    parts = urlsplit(place)
    try:
        client = aws_session().client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=parts.netloc, Prefix=parts.path.lstrip("/"))
        for page in pages:
            for entry in page.get("Contents", []):
                body = client.get_object(Bucket=parts.netloc, Key=entry["Key"])["Body"].read()
                yield f"s3://{parts.netloc}/{entry['Key']}", body
    except (BotoCoreError, ClientError) as error:
        raise UsageError(f"{place}: {error}") from None
