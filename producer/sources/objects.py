"""Objects in S3 as sources: brought to this machine first, each under the very name that was given."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from producer.sources import Asked
from producer.sources.files import staged_files
from producer.sources.places import choose
from producer.staging.staged import Staged
from producer.staging.store import Staging
from schemas.runtime.errors import SourceError

__all__ = ["aws_client", "fetch", "open_objects", "split_place"]

_CHUNK = 1 << 20
_MISSING = {"404", "NoSuchKey"}


def aws_client(service: str) -> Any:
    """boto3's client of a service, in the region that the environment names. Raises `SourceError`."""
    try:
        # boto3 alone knows AWS_DEFAULT_REGION only.
        client: Any = boto3.client
        return client(service, region_name=os.environ.get("AWS_REGION") or None)
    except BotoCoreError as error:
        raise SourceError(f"boto3 cannot make a client of {service}: {error}; set AWS_REGION and credentials") from None


def split_place(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://BUCKET/KEY``. A key is text: ``#``, ``?`` and ``%20`` in it are only characters."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def fetch(client: Any, bucket: str, key: str, folder: Path) -> Path:
    """Downloads an object piece by piece; raises `SourceError`, also for one that comes shorter than it is."""
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}{Path(key).suffix}"
    try:
        answer = client.get_object(Bucket=bucket, Key=key)
        with path.open("wb") as out:
            for piece in answer["Body"].iter_chunks(_CHUNK):
                out.write(piece)
            size = out.tell()
    except (ClientError, BotoCoreError) as error:
        raise SourceError(f"s3://{bucket}/{key}: {error}{_meant(client, bucket, key, error)}") from None
    if (told := answer.get("ContentLength")) is not None and told != size:
        raise SourceError(f"s3://{bucket}/{key}: {size:,} of {told:,} bytes came: run the same command again")
    return path


def _meant(client: Any, bucket: str, key: str, error: Exception) -> str:
    """A hint for a key that was written as a web address would have it."""
    plain = unquote(key)
    if plain == key or not isinstance(error, ClientError) or error.response["Error"]["Code"] not in _MISSING:
        return ""
    try:
        client.head_object(Bucket=bucket, Key=plain)
    except (ClientError, BotoCoreError):
        return ""
    return f"; there is {plain!r}: write its name as it is, without %"


def open_objects(uri: str, asked: Asked) -> Staged:
    """One object, those under a prefix that ends in ``/``, or those that a name with ``*`` fits.

    A ``*`` stands for any characters, ``/`` among them; ``**/`` for any folders, or none.
    """
    bucket, key = split_place(uri)
    client, staging = aws_client("s3"), Staging(asked.renames)
    keys = _keys(client, bucket, key, staging) if key.endswith("/") or "*" in key else [key]

    def fetched() -> Any:
        for count, one in enumerate(keys, 1):
            asked.say(f"fetching {count} of {len(keys)}")
            path = fetch(client, bucket, one, staging.folder.path)
            yield path, f"s3://{bucket}/{one}"
            path.unlink()

    return staged_files(staging, fetched(), uri, encoding=asked.encoding)


def _keys(client: Any, bucket: str, pattern: str, staging: Staging) -> Sequence[str]:
    prefix = pattern.partition("*")[0]
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        listed = [(entry["Key"], entry["Size"]) for page in pages for entry in page.get("Contents", [])]
    except (ClientError, BotoCoreError) as error:
        raise SourceError(f"s3://{bucket}/{prefix}: {error}") from None
    fits = _fitting(pattern)
    found = [(key, size) for key, size in listed if not key.endswith("/") and fits(key)]
    if not found:
        raise SourceError(f"s3://{bucket}/{pattern}: there is no such object")
    # A name that begins with what is passed over was begun so on purpose.
    chosen = choose(found, prefix, f"s3://{bucket}/{pattern}")
    staging.notes += chosen.note()
    return chosen.files


def _fitting(pattern: str) -> Callable[[str], bool]:
    if "*" not in pattern:
        return lambda _key: True
    parts = re.split(r"(\*\*/|\*+)", pattern)
    words = {"**/": "(?:.*/)?"}
    text = "".join(words.get(part, ".*") if part.startswith("*") else re.escape(part) for part in parts)
    whole = re.compile(text, re.DOTALL)
    return lambda key: whole.fullmatch(key) is not None
