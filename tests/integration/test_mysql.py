"""MariaDB, which speaks MySQL's protocol, as the source: streamed, a month bound, the same rows twice."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from infra.embedded.service import free_port
from tests.support.databases import answers, publish_twice_and_send
from tests.support.world import MONTH, WAIT_S, World, wait_for

SERVER = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
pytestmark = pytest.mark.skipif(not Path(SERVER).is_file(), reason="no MariaDB here: `apt-get install mariadb-server`")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server of its own on loopback."""
    folder = Path("/tmp") / f"mailonce-my-{os.getpid()}"
    folder.mkdir()
    own = [] if os.getuid() else ["--user=root"]
    place = f"--datadir={folder}/data"
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", *own, place, "--auth-root-authentication-method=normal"],
        check=True,
        capture_output=True,
    )
    port = free_port()
    options = [place, f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/socket"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([SERVER, "--no-defaults", *own, *options], stdout=log, stderr=log)

    def connect() -> pymysql.Connection[Any]:
        return pymysql.connect(host="127.0.0.1", port=port, user="root")

    try:
        wait_for(lambda: answers(connect, pymysql.OperationalError), "MariaDB")
        yield port
    finally:
        server.terminate()
        server.wait(WAIT_S)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_month_from_mysql(world: World, port: int) -> None:
    """Published, run again, sent: the rows of the month, NULL and unicode included."""
    with pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True, charset="utf8mb4") as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE DATABASE devices CHARACTER SET utf8mb4")
        cursor.execute("CREATE TABLE devices.usages (customer int, mail text, name text, kwh decimal(9,1), month text)")
        rows = [
            (n, f"u{n}@mail.example.net", f"Zoë 🙂 {n}", n * 1.5, MONTH if n <= 300 else "2026-10")
            for n in range(1, 401)
        ]
        cursor.executemany("INSERT INTO devices.usages VALUES (%s, %s, %s, %s, %s)", rows)
        cursor.execute("UPDATE devices.usages SET mail = NULL WHERE customer = 7")
    query = world.folder / "usage.sql"
    query.write_text(
        "SELECT customer AS user_id, mail AS email, name, kwh AS `usage` FROM usages WHERE month = :month ORDER BY customer"
    )
    source = f"mysql://root@127.0.0.1:{port}/devices?charset=utf8mb4&query={query}"
    texts = publish_twice_and_send(world, source)
    assert texts["u10@mail.example.net"] == "Hello Zoë 🙂 10, 15.0 kWh"
