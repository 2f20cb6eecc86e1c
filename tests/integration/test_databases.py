"""A PostgreSQL as the source: streamed over a server-side cursor, the same rows twice, a month bound into the query."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from producer.sources import Asked, open_source
from tests.support.databases import answers, publish_twice_and_send
from tests.support.world import MONTH, WAIT_S, World, wait_for

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
pytestmark = pytest.mark.skipif(not BINARIES, reason="no PostgreSQL here: `make tools`")


def as_its_user(*command: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.getuid() == 0 else list(command)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own on loopback; its address."""
    folder = Path("/tmp") / f"mailonce-pg-{os.getpid()}"
    folder.mkdir()
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    bin_ = BINARIES[-1]
    subprocess.run(
        as_its_user(str(bin_ / "initdb"), "-D", str(folder / "data"), "-U", "mail", "--auth=trust", "--no-sync"),
        check=True,
        capture_output=True,
        cwd="/",
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
    server = subprocess.Popen(
        as_its_user(str(bin_ / "postgres"), "-D", str(folder / "data"), *options), stderr=subprocess.DEVNULL, cwd="/"
    )
    try:
        address = f"postgresql://mail@127.0.0.1:{port}/postgres"
        wait_for(lambda: answers(lambda: psycopg.connect(address), psycopg.OperationalError), "PostgreSQL")
        yield address
    finally:
        server.terminate()
        server.wait(WAIT_S)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_month_from_postgres(world: World, database: str) -> None:
    """Published, run again, sent: the rows of the month, NULL and unicode included."""
    with psycopg.connect(database) as connection:
        connection.execute("DROP TABLE IF EXISTS usage")
        connection.execute("CREATE TABLE usage (customer int, mail text, name text, kwh numeric, month text)")
        connection.execute(
            "INSERT INTO usage SELECT n, 'u' || n || '@mail.example.net', 'Zoë ' || n, n * 1.5, "
            "CASE WHEN n <= 300 THEN '2026-11' ELSE '2026-10' END FROM generate_series(1, 400) AS t(n)"
        )
        connection.execute("UPDATE usage SET mail = NULL WHERE customer = 7")
    query = world.folder / "usage.sql"
    query.write_text(
        "SELECT customer AS user_id, mail AS email, name, kwh AS usage FROM usage WHERE month = :month ORDER BY customer"
    )
    texts = publish_twice_and_send(world, f"{database}?query={query}")
    assert texts["u10@mail.example.net"] == "Hello Zoë 10, 15.0 kWh"
    refused = world.run(
        "produce", "--month", MONTH, "--source", f"{database.replace('postgres:', 'x:')}?query=none.sql", ok=(2,)
    )
    assert "query's file is needed" in refused.stderr


@pytest.mark.long  # memory is a figure of the benchmarks as well
def test_many_rows_do_not_grow_memory(database: str, tmp_path: Path) -> None:
    """A server-side cursor, and a file: 40,000 rows pass through."""
    import tracemalloc

    # Code is an object too: imported before the count begins.
    import psycopg  # noqa: F401
    import sqlalchemy.dialects.postgresql  # noqa: F401

    query = tmp_path / "many.sql"
    query.write_text(
        "SELECT 'u' || n AS user_id, 'u' || n || '@b.de' AS email, repeat('x', 80) AS name "
        "FROM generate_series(1, 40000) AS t(n)"
    )
    tracemalloc.start()
    source = open_source(f"{database}?query={query}", Asked(MONTH))
    assert sum(1 for _ in source.rows()) == 40_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6, f"{peak / 1e6:.0f} MB of Python objects at once"
