"""Every kind of source gives the same rows, twice, with flat memory and a snapshot; what is wrong is named."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest

from producer.plan import OnDuplicate
from producer.sources import Asked, Row, Source, objects, open_source
from producer.sources import athena as athena_module
from producer.sources.shaped import parse_conditions, parse_renames
from schemas.runtime.errors import SourceError, UsageError
from tests.support.plans import planned

ROWS = 'u1,a@b.de,"He said ""hi"",\nok"\nu2,c@d.de,Zoë\n'


def rows(source: Source) -> list[tuple[str, str]]:
    """Read twice: both times the same."""
    first, second = list(source.rows()), list(source.rows())
    assert first == second
    assert [user for _, user in source.user_ids()] == [row.values.get("user_id", "") for row in first]
    return [(row.values["user_id"], row.values.get("name", "")) for row in first]


WANTED = [("u1", 'He said "hi",\nok'), ("u2", "Zoë")]


def csv_at(path: Path, content: str = "user_id,email,name\n" + ROWS) -> Path:
    path.write_text(content)
    return path


def test_json_and_parquet_and_globs(tmp_path: Path) -> None:
    """By the ending; many files in the order of their names, each row with its file and line."""
    lines = [{"user_id": f"u{n}", "email": "a@b.de", "name": name} for n, (_, name) in enumerate(WANTED, 1)]
    (tmp_path / "users.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert rows(open_source(str(tmp_path / "users.jsonl"))) == WANTED
    duckdb.sql(f"COPY (FROM read_json_auto('{tmp_path}/users.jsonl')) TO '{tmp_path}/users.parquet' (FORMAT parquet)")
    assert rows(open_source(str(tmp_path / "users.parquet"))) == WANTED
    csv_at(tmp_path / "b.csv", "user_id,email,name\nu3,e@f.de,Third\nu1,a@b.de,Again\n")
    csv_at(tmp_path / "a.csv")
    many = open_source(str(tmp_path / "*.csv"))
    assert [user for user, _ in rows(many)] == ["u1", "u2", "u3", "u1"]
    assert [(row.file, row.line, row.number) for row in many.rows()] == [
        ("a.csv", 2, 1),
        ("a.csv", 4, 2),
        ("b.csv", 2, 3),
        ("b.csv", 3, 4),
    ]
    before = many.snapshot
    csv_at(tmp_path / "a.csv", "user_id,email,name\nu9,a@b.de,x\n")
    assert open_source(str(tmp_path / "*.csv")).snapshot != before
    with pytest.raises(SourceError, match="no file is named like that"):
        open_source(str(tmp_path / "*.none"))


def test_a_user_in_two_files_is_one_user(tmp_path: Path) -> None:
    """Though both stand in the same line of their files; the provenance names the file."""
    csv_at(tmp_path / "a.csv", "user_id,email,name\nu1,a@b.de,first\n")
    csv_at(tmp_path / "b.csv", "user_id,email,name\nu1,c@d.de,last\n")
    jobs, rejects = planned(open_source(str(tmp_path / "*.csv")))
    assert [job.email for job in jobs] == ["c@d.de"]
    assert [(reject.file, reject.line, reject.reason) for reject in rejects] == [("a.csv", 2, "duplicate-user")]
    assert jobs[0].provenance is not None
    assert (jobs[0].provenance.source, jobs[0].provenance.row) == ("b.csv", 2)
    _, rejects = planned(open_source(str(tmp_path / "*.csv")), OnDuplicate.ERROR)
    assert len(rejects) == 2


def test_any_sql_over_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is written down once: both looks see the same rows, whatever the query does."""
    monkeypatch.chdir(tmp_path)
    csv_at(tmp_path / "users.csv")
    query = tmp_path / "query.sql"
    query.write_text("SELECT user_id, email, name, $month AS month, random() AS r FROM 'users.csv' ORDER BY user_id;")
    source = open_source(f"duckdb:///{query}", Asked("2026-11"))
    assert rows(source) == WANTED
    assert {row.values["month"] for row in source.rows()} == {"2026-11"}
    assert rows(open_source("duckdb:///query.sql", Asked("2026-11"))) == WANTED
    query.write_text("SELECT nonsense FROM 'users.csv'")
    with pytest.raises(SourceError, match="nonsense"):
        open_source(f"duckdb:///{query}")
    with pytest.raises(SourceError, match="query's file is needed"):
        open_source("duckdb:///none.sql")


def test_a_database_by_its_url(tmp_path: Path) -> None:
    """Any that SQLAlchemy knows; values as text, nothing for NULL; the month is bound, not pasted."""
    with closing(sqlite3.connect(tmp_path / "users.db")) as database, database:
        database.execute("CREATE TABLE users (customer TEXT, mail TEXT, usage REAL, month TEXT)")
        database.executemany(
            "INSERT INTO users VALUES (?, ?, ?, ?)",
            [(f"u{n}", f"u{n}@b.de", None if n == 3 else n / 2, "2026-11") for n in range(12_000)]
            + [("old", "old@b.de", 1, "2026-10")],
        )
    query = tmp_path / "users.sql"
    query.write_text("SELECT customer, mail AS email, usage FROM users WHERE month = :month ORDER BY rowid")
    said: list[str] = []
    asked = Asked("2026-11", {"customer": "user_id"}, said.append)
    source = open_source(f"sqlite:///{tmp_path}/users.db?query={query}", asked)
    found = list(source.rows())
    assert len(found) == 12_000
    assert found[2].values == {"user_id": "u2", "email": "u2@b.de", "usage": "1.0"}
    assert found[3].values["usage"] == ""
    assert said[-1] == "15,000 rows"
    with pytest.raises(SourceError, match="name the query's file"):
        open_source(f"sqlite:///{tmp_path}/users.db")
    query.write_text("SELECT * FROM nowhere")
    with pytest.raises(SourceError, match=r"users.sql: .*no such table"):
        open_source(f"sqlite:///{tmp_path}/users.db?query={query}")


def test_a_database_without_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install; a driver that is missing is named."""
    import sys

    query = tmp_path / "q.sql"
    query.write_text("SELECT 1")
    with pytest.raises(SourceError, match="oracledb"):
        open_source(f"postgresql+oracledb://h/d?query={query}")
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(SourceError, match=r"mailonce\[sql\]"):
        open_source(f"postgresql://h/d?query={query}")


def test_names_conditions_and_limits(tmp_path: Path) -> None:
    """--map, --where and --limit; a row that cannot be read stays in, to be told of."""
    path = csv_at(tmp_path / "c.csv", "id,mail,plan\nu1,a@b.de,Plus\nu2,c@d.de,Basic\nu3,broken\nu4,e@f.de,Plus\n")
    source = open_source(str(path), Asked(renames=parse_renames(["user_id=id", "email=mail"])))
    plus = source.shaped(parse_conditions(["plan=Plus"]), None)
    assert [(row.line, bool(row.problem)) for row in plus.rows()] == [(2, False), (4, True), (5, False)]
    assert [user for _, user in plus.user_ids()] == ["u1", "", "u4"]
    assert [row.line for row in source.shaped(parse_conditions(["plan!=Plus"]), None).rows()] == [3, 4]
    assert [row.line for row in source.shaped([], 2).rows()] == [2, 3]
    with pytest.raises(UsageError, match="no column colour"):
        source.shaped(parse_conditions(["colour=red"]), None)
    with pytest.raises(UsageError, match="is not NAME=VALUE"):
        parse_conditions(["plan"])
    with pytest.raises(UsageError, match="is not NAME=COLUMN"):
        parse_renames(["user_id"])
    with pytest.raises(SourceError, match="--map user_id=NAME"):
        open_source(str(path))


# ---- AWS, by moto ----


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # slow to import

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield f"http://127.0.0.1:{port}"
    server.stop()


def test_objects_in_s3(aws: str, tmp_path: Path) -> None:
    """One, a prefix, a glob; missing ones are named."""
    client = boto3.client("s3")
    for key, content in (
        ("in/a.csv", "user_id,email,name\n" + ROWS),
        ("in/b.csv", "user_id,email,name\nu3,e@f.de,x\n"),
    ):
        client.put_object(Bucket="bucket", Key=key, Body=content.encode())
    client.put_object(Bucket="bucket", Key="in/notes.txt", Body=b"no source")
    said: list[str] = []
    one = open_source("s3://bucket/in/a.csv", Asked(say=said.append))
    assert rows(one) == WANTED
    assert said == ["fetching 1 of 1"]
    assert {row.file for row in one.rows()} == {"s3://bucket/in/a.csv"}
    assert [user for user, _ in rows(open_source("s3://bucket/in/*.csv"))] == ["u1", "u2", "u3"]
    with pytest.raises(SourceError, match="lacks the column"):
        open_source("s3://bucket/in/")
    for missing in ("s3://bucket/none.csv", "s3://bucket/none/*.csv", "s3://nowhere/a/"):
        with pytest.raises(SourceError, match="s3://"):
            open_source(missing)


def test_a_data_lake_in_s3(aws: str) -> None:
    """`**/part-*` over folders, compressed parts; what writers and Athena put beside them is passed over and told."""
    client = boto3.client("s3")
    head = b"user_id,email,name\n"
    for key, content in (
        ("lake/month=11/part-0.csv.gz", gzip.compress(head + b"u1,a@b.de,x\n")),
        ("lake/month=11/day=2/part-1.csv", head + b"u2,a@b.de,x\n"),
        ("lake/part-2.csv.gz", gzip.compress(b"")),
        ("lake/part-3", b'{"user_id":"u3","email":"a@b.de","name":"x"}\n'),
        ("lake/part-4", b""),
        ("lake/_SUCCESS", b""),
        ("lake/month=11/part-0.csv.gz.crc", b"crc"),
        ("lake/.part-0.crc", b"crc"),
        ("lake/result.csv", head + b"u4,a@b.de,x\n"),
        ("lake/result.csv.metadata", b"\x0a\x06athena"),
    ):
        client.put_object(Bucket="bucket", Key=key, Body=content)
    source = open_source("s3://bucket/lake/**/part-*")
    assert [user for user, _ in rows(source)] == ["u2", "u1", "u3"]
    assert [note.partition(":")[0] for note in source.staging.notes] == [
        "passed over, as no data",
        "passed over, as empty",
    ]
    assert [user for user, _ in rows(open_source("s3://bucket/lake/month=11/**/part-*"))] == ["u2", "u1"]
    assert [user for user, _ in rows(open_source("s3://bucket/lake/"))] == ["u2", "u1", "u3", "u4"]
    client.put_object(Bucket="bucket", Key="latin/a.csv", Body="user_id;email;name\nu1;a@b.de;Zoë\n".encode("cp1252"))
    with pytest.raises(SourceError, match="--encoding cp1252"):
        open_source("s3://bucket/latin/a.csv")
    assert rows(open_source("s3://bucket/latin/*.csv", Asked(encoding="cp1252"))) == [("u1", "Zoë")]
    with pytest.raises(SourceError, match="has no file with data"):
        open_source("s3://bucket/lake/_SUCC*")


def queue_result(aws: str, names: list[str], found: list[list[str]]) -> None:
    """What moto answers the next query with."""
    import urllib.request

    body = {
        "results": [
            {
                "rows": [{"Data": [{"VarCharValue": cell} for cell in row]} for row in [names, *found]],
                "column_info": [
                    {
                        "CatalogName": "c",
                        "SchemaName": "s",
                        "TableName": "t",
                        "Name": name,
                        "Label": name,
                        "Type": "varchar",
                    }
                    | {"Precision": 1, "Scale": 0, "Nullable": "UNKNOWN", "CaseSensitive": True}
                    for name in names
                ],
            }
        ]
    }
    asked = urllib.request.Request(
        f"{aws}/moto-api/static/athena/query-results",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(asked, timeout=60).close()


def test_athena_as_the_classic_pipeline_has_it(aws: str, tmp_path: Path) -> None:
    """Query, wait, the result from S3 by its execution's id; the month goes in, the execution comes out."""
    query = tmp_path / "usage.sql"
    query.write_text("SELECT user_id, email, kwh FROM usage WHERE month = :month")
    queue_result(aws, ["user_id", "email", "kwh"], [["u1", "a@b.de", "1.5"], ["u2", "c@d.de", "2"]])
    uri = f"athena://devices?query={query}&output=s3://bucket/results/"
    source = open_source(uri, Asked("2026-11"))
    assert [row.values["kwh"] for row in source.rows()] == ["1.5", "2"]
    assert source.snapshot.startswith("athena:")
    assert source.snapshot == source.name
    executions = boto3.client("athena")
    asked = executions.get_query_execution(QueryExecutionId=source.snapshot.removeprefix("athena:"))["QueryExecution"]
    assert asked["Query"].endswith("WHERE month = '2026-11'")
    assert asked["QueryExecutionContext"]["Database"] == "devices"


class FakeAthena:
    """What moto cannot: failures, a token that is honoured, statistics."""

    def __init__(self, states: list[dict[str, Any]], rows_told: int | None) -> None:
        self._states = states
        self._rows = rows_told
        self.asked: list[dict[str, Any]] = []

    def start_query_execution(self, **asked: Any) -> dict[str, str]:
        self.asked.append(asked)
        return {"QueryExecutionId": f"id-{asked['ClientRequestToken'][:8]}"}

    def get_query_execution(self, **_asked: Any) -> dict[str, Any]:
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        place = {"OutputLocation": "s3://bucket/results/by-hand.csv"}
        told = {"DataScannedInBytes": 2e6, "DataManifestLocation": "s3://bucket/results/id-manifest.csv"}
        return {"QueryExecution": {"Status": state, "ResultConfiguration": place, "Statistics": told}}

    def get_query_runtime_statistics(self, **_asked: Any) -> dict[str, Any]:
        return {"QueryRuntimeStatistics": {"Rows": {"OutputRows": self._rows} if self._rows is not None else {}}}


def athena(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, client: FakeAthena, more: str = ""
) -> tuple[Source, list[Any]]:
    real = boto3.client
    monkeypatch.setattr(objects.boto3, "client", lambda name, **k: client if name == "athena" else real(name, **k))
    query = tmp_path / "usage.sql"
    query.write_text("SELECT * FROM usage WHERE month = :month")
    slept: list[Any] = []
    uri = f"athena://devices?query={query}&output=s3://bucket/results/{more}"
    return athena_module.open_athena(uri, Asked("2026-11", say=slept.append), slept.append), slept


def test_athenas_waiting_and_its_csv_with_quotes_and_newlines(
    aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With back-off and a word each time; the same question has the same token, another month another."""
    body = '"user_id","email","name"\n"u1","a@b.de","He said ""hi"",\nok"\n"u2","c@d.de","Zoë"\n'
    boto3.client("s3").put_object(Bucket="bucket", Key="results/by-hand.csv", Body=body.encode())
    states = [{"State": "QUEUED"}, {"State": "RUNNING"}, {"State": "SUCCEEDED"}]
    client = FakeAthena(states, 2)
    source, slept = athena(monkeypatch, tmp_path, client)
    assert rows(source) == WANTED
    assert slept == ["Athena: queued, 2 MB read", 0.5, "Athena: running, 2 MB read", 1, "fetching the result"]
    athena(monkeypatch, tmp_path, client)
    athena(monkeypatch, tmp_path, client, "&month=2026-10&workgroup=mail")
    tokens = [asked["ClientRequestToken"] for asked in client.asked]
    assert tokens[0] == tokens[1] != tokens[2]
    assert 32 <= len(tokens[0]) <= 128
    assert client.asked[2]["WorkGroup"] == "mail"


@pytest.mark.parametrize(
    ("states", "told", "more", "says"),
    [
        ([{"State": "FAILED", "StateChangeReason": "SYNTAX_ERROR: line 1:8"}], None, "", "failed: SYNTAX_ERROR"),
        ([{"State": "CANCELLED"}], None, "", "cancelled: no reason given"),
        ([{"State": "SUCCEEDED"}], 3, "", "has 3 rows, its file 2"),
        ([{"State": "SUCCEEDED"}], None, "&month=November", "not a month"),
    ],
)
def test_athenas_failures_have_athenas_reasons(
    aws: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    states: list[dict[str, Any]],
    told: int | None,
    more: str,
    says: str,
) -> None:
    """Nothing is published of a result that is not whole."""
    boto3.client("s3").put_object(
        Bucket="bucket", Key="results/by-hand.csv", Body=b"user_id,email\nu1,a@b.de\nu2,c@d.de\n"
    )
    with pytest.raises(SourceError, match=says):
        athena(monkeypatch, tmp_path, FakeAthena(states, told), more)


def test_athenas_unload(aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet files as the manifest names them, one source; NULL is missing; an empty result is told."""
    s3 = boto3.client("s3")
    names = []
    for number, rows_of in enumerate(("('u1', 'a@b.de', 'x')", "('u2', 'c@d.de', NULL)")):
        path = tmp_path / f"{number}.parquet"
        duckdb.execute(f"COPY (SELECT * FROM (VALUES {rows_of}) t(user_id, email, name)) TO '{path}' (FORMAT parquet)")
        # Athena gives its files no ending.
        names.append(f"results/abc/2026_{number}_part")
        s3.put_object(Bucket="bucket", Key=names[-1], Body=path.read_bytes())
    manifest = "".join(f"s3://bucket/{name}\n" for name in names)
    s3.put_object(Bucket="bucket", Key="results/id-manifest.csv", Body=manifest.encode())
    client = FakeAthena([{"State": "SUCCEEDED"}], 2)
    source, _ = athena(monkeypatch, tmp_path, client, "&unload=parquet")
    assert [(row.values["user_id"], row.values["name"], row.file) for row in source.rows()] == [
        ("u1", "x", f"s3://bucket/{names[0]}"),
        ("u2", "", f"s3://bucket/{names[1]}"),
    ]
    assert source.snapshot == f"athena:id-{client.asked[0]['ClientRequestToken'][:8]}"
    asked = client.asked[0]
    assert asked["QueryString"] == (
        "UNLOAD (SELECT * FROM usage WHERE month = '2026-11') "
        f"TO 's3://bucket/results/{asked['ClientRequestToken'][:32]}/' WITH (format = 'PARQUET')"
    )
    athena(monkeypatch, tmp_path, client, "&unload=parquet&month=2026-11")
    assert client.asked[1]["ClientRequestToken"] == asked["ClientRequestToken"]
    s3.put_object(Bucket="bucket", Key="results/id-manifest.csv", Body=b"")
    with pytest.raises(SourceError, match="has no rows"):
        athena(monkeypatch, tmp_path, client, "&unload=parquet")
    with pytest.raises(SourceError, match="only parquet"):
        athena(monkeypatch, tmp_path, client, "&unload=orc")


def test_an_athena_address_says_what_it_lacks(tmp_path: Path) -> None:
    """Query and output."""
    with pytest.raises(SourceError, match="query and output missing"):
        open_source("athena://devices")


def test_rows_are_told_apart_by_their_place() -> None:
    """The line, or the number where there are several files."""
    assert (Row(5, {}).place, Row(5, {}, number=9).place) == (5, 9)
