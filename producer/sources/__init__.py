"""Where rows come from. A source is chosen by its URI; more kinds register in `open_source`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from schemas.errors import SourceError

__all__ = ["Row", "Source", "open_source"]


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row: its place in the source, its values, or why it cannot be read."""

    line: int
    values: dict[str, str]
    problem: str | None = None
    raw: tuple[str, ...] = ()


class Source(Protocol):
    """Rows that stay the same for as long as the snapshot does.

    Laws: `rows` may be called again and gives the same rows in the same order; memory stays flat; a row that cannot be
    read is given with its problem and stops nothing.
    """

    @property
    def name(self) -> str: ...

    @property
    def snapshot(self) -> str:
        """Changes when the content does."""
        ...

    def rows(self) -> Iterator[Row]: ...

    def user_ids(self) -> Iterator[tuple[int, str]]:
        """Each row's line and user id, in order: a first look for users who stand there twice.

        The id of a row that cannot be read is empty.
        """
        ...


def open_source(uri: str) -> Source:
    """The source at `uri`: the path or ``file://`` URI of a CSV or Parquet file. Raises `SourceError`."""
    from producer.sources.csv_file import CsvFile
    from producer.sources.parquet_file import ParquetFile

    parts = urlsplit(uri)
    if parts.scheme not in {"", "file"} and len(parts.scheme) > 1:
        raise SourceError(f"no source is known for {parts.scheme}://; this version reads CSV and Parquet files")
    path = Path(unquote(parts.path) if parts.scheme == "file" else uri)
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file")
    return ParquetFile(path) if path.suffix == ".parquet" else CsvFile(path)
