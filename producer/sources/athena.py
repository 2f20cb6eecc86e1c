"""Athena's answer to a query, as the classic pipeline has it: once for a month, however often the producer is run.

The token of the execution follows from database, query, month and output, so a re-run reads the result of the first
run. That result is one CSV file in S3, or Parquet files by UNLOAD, read as such and never page by page.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from producer.sources import Asked
from producer.sources.files import stage_file, staged_files
from producer.sources.objects import aws_client, fetch, split_place
from producer.sources.query import read_query, without_end
from producer.staging.staged import Staged
from producer.staging.store import Staging
from schemas.identity import check_month
from schemas.runtime.errors import SourceError

__all__ = ["open_athena"]

_WAIT_S = (0.5, 1, 2, 4, 8, 15)
"""Between looks at a running query; the last for ever."""


@dataclass(frozen=True, slots=True)
class _Query:
    database: str
    sql: str
    output: str
    workgroup: str
    unload: bool

    @property
    def token(self) -> str:
        """The same for the same question: Athena answers it with the execution that it had then."""
        parts = [self.database, self.sql, self.output, self.workgroup]
        content = "\0".join([*parts, "unload"] if self.unload else parts)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def asked(self) -> str:
        """What Athena is given. UNLOAD wants an empty place: one for each question."""
        if not self.unload:
            return self.sql
        place = f"{self.output.rstrip('/')}/{self.token[:32]}/"
        return f"UNLOAD ({without_end(self.sql)}) TO '{place}' WITH (format = 'PARQUET')"


def open_athena(uri: str, asked: Asked, sleep: Callable[[float], None] = time.sleep) -> Staged:
    """``athena://DATABASE?query=FILE.sql&output=s3://…[&workgroup=…][&month=…][&unload=parquet]``.

    ``:month`` in the query is the month; UNLOAD is quicker for large results.

    Raises `SourceError` with Athena's own reason.
    """
    query = _read(uri, asked)
    try:
        client = aws_client("athena")
        execution = _start(client, query)
        about = _await(client, execution, asked, sleep)
        expected = _rows_told(client, execution)
    except (ClientError, BotoCoreError) as error:
        raise SourceError(f"Athena: {error}") from None
    asked.say("fetching the result")
    result = _unloaded(about, asked, execution) if query.unload else _written(about, asked, execution)
    if expected is not None and (found := result.staging.count) != expected:
        raise SourceError(f"Athena's execution {execution} has {expected:,} rows, its file {found:,}: run it again")
    return result


def _written(about: dict[str, Any], asked: Asked, execution: str) -> Staged:
    """The result, downloaded; its snapshot names the execution."""
    staging, name = Staging(asked.renames), f"athena:{execution}"
    stage_file(staging, _fetch(about["ResultConfiguration"]["OutputLocation"], staging), name)
    return Staged(staging, name, name)


def _unloaded(about: dict[str, Any], asked: Asked, execution: str) -> Staged:
    """The files that the manifest names, in its order."""
    staging, name = Staging(asked.renames), f"athena:{execution}"
    manifest = _fetch(about["Statistics"]["DataManifestLocation"], staging)
    places = [line.strip() for line in manifest.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not places:
        raise SourceError(f"Athena's execution {execution} wrote no file: the query has no rows")
    # Athena's files have no ending; by the manifest they are of this query and Parquet.
    return staged_files(staging, ((_fetch(place, staging, ".parquet"), place) for place in places), name, name)


def _fetch(uri: str, staging: Staging, ending: str = "") -> Path:
    path = fetch(aws_client("s3"), *split_place(uri), staging.folder.path)
    return path.rename(path.with_suffix(ending)) if ending else path


def _read(uri: str, asked: Asked) -> _Query:
    parts = urlsplit(uri)
    given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if missing := [name for name in ("query", "output") if not given.get(name)]:
        raise SourceError(
            f"athena://{parts.netloc}: {' and '.join(missing)} missing: ?query=FILE.sql&output=s3://BUCKET/…"
        )
    month = given.get("month") or asked.month
    sql = read_query(given["query"])
    if ":month" in sql:
        try:
            sql = sql.replace(":month", f"'{check_month(month)}'")
        except ValueError as error:
            raise SourceError(f"{given['query']}: {error}") from None
    if given.get("unload", "parquet") != "parquet":
        raise SourceError(f"athena://{parts.netloc}: unload={given['unload']}: only parquet is known")
    return _Query(parts.netloc, sql, given["output"], given.get("workgroup", ""), "unload" in given)


def _start(client: Any, query: _Query) -> str:
    more = {"WorkGroup": query.workgroup} if query.workgroup else {}
    started = client.start_query_execution(
        QueryString=query.asked,
        ClientRequestToken=query.token,
        QueryExecutionContext={"Database": query.database},
        ResultConfiguration={"OutputLocation": query.output},
        **more,
    )
    return str(started["QueryExecutionId"])


def _await(client: Any, execution: str, asked: Asked, sleep: Callable[[float], None]) -> dict[str, Any]:
    looks = 0
    while True:
        about: dict[str, Any] = client.get_query_execution(QueryExecutionId=execution)["QueryExecution"]
        status = about["Status"]
        match status["State"]:
            case "SUCCEEDED":
                return about
            case "FAILED" | "CANCELLED":
                reason = status.get("StateChangeReason") or "no reason given"
                raise SourceError(f"Athena's execution {execution} {status['State'].lower()}: {reason}")
            case state:
                scanned = about.get("Statistics", {}).get("DataScannedInBytes", 0)
                asked.say(f"Athena: {state.lower()}, {scanned / 1e6:,.0f} MB read")
        sleep(_WAIT_S[min(looks, len(_WAIT_S) - 1)])
        looks += 1


def _rows_told(client: Any, execution: str) -> int | None:
    """How many rows Athena says the result has; ``None`` where it does not tell."""
    try:
        told = client.get_query_runtime_statistics(QueryExecutionId=execution)["QueryRuntimeStatistics"]
    except ClientError:
        return None  # an extra permission; the file is there either way
    rows = told.get("Rows", {}).get("OutputRows")
    return int(rows) if rows else None
