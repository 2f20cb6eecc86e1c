"""What a user told pip holds for uv as well, or pip does the work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.bootstrap.index import Untranslatable, for_uv, kept, pip_settings

LISTED = """\
:env:.default-timeout='180'
:env:.index-url='https://env.example/simple'
global.cert='/etc/ca.pem'
global.extra-index-url='https://a.example/simple\\nhttps://b.example/simple'
global.index-url='https://global.example/simple'
global.proxy='http://127.0.0.1:3128'
install.index-url='https://install.example/simple'
install.trusted-host='a.example b.example'
global.find-links='/wheels /more'
global.disable-pip-version-check='1'
freeze.timeout='3'
WARNING: a line of pip's own
"""


def test_the_index_of_pip_is_uvs() -> None:
    """A company's index, its certificate and its proxy: the nearest setting wins, as in pip."""
    said = for_uv(pip_settings(LISTED), {})
    assert said == {
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_DEFAULT_INDEX": "https://env.example/simple",
        "UV_INDEX": "https://a.example/simple https://b.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "a.example b.example",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_HTTP_TIMEOUT": "180",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "HTTP_PROXY": "http://127.0.0.1:3128",
        "HTTPS_PROXY": "http://127.0.0.1:3128",
        "ALL_PROXY": "http://127.0.0.1:3128",
    }


def test_what_was_said_to_uv_stands() -> None:
    """A user who set uv's own variable meant it."""
    assert "UV_DEFAULT_INDEX" not in for_uv(pip_settings(LISTED), {"UV_DEFAULT_INDEX": "https://mine.example/"})


def test_a_certificate_that_pip_would_trust_is_uvs() -> None:
    """pip knows these variables, uv does not; its own setting and OpenSSL's variable are nearer."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        assert for_uv({}, {name: "/etc/ca.pem"})["SSL_CERT_FILE"] == "/etc/ca.pem"
        assert for_uv({"cert": "/pip.pem"}, {name: "/etc/ca.pem"})["SSL_CERT_FILE"] == "/pip.pem"
        assert "SSL_CERT_FILE" not in for_uv({}, {name: "/etc/ca.pem", "SSL_CERT_FILE": "/mine.pem"})


@pytest.mark.parametrize(
    "line", ["global.keyring-provider='subprocess'", "install.no-index='true'", "global.no-binary='x'"]
)
def test_what_uv_cannot_be_told_is_pips_work(line: str) -> None:
    """Nothing that was asked for is dropped in silence."""
    with pytest.raises(Untranslatable):
        for_uv(pip_settings(line), {})


def test_nothing_leads_elsewhere() -> None:
    """Variables that would install into another place, other files or other versions do not reach pip and uv."""
    given = {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "UV_INDEX_URL": "https://mine.example/",
        "UV_EXCLUDE_NEWER": "2020-01-01",
        "UV_SYSTEM_PYTHON": "1",
        "PIP_TARGET": "/elsewhere",
        "PIP_INDEX_URL": "https://mine.example/",
        "PYTHONPATH": "/other",
        "VIRTUAL_ENV": "/other",
    }
    assert set(kept(given)) == {"PATH", "HTTPS_PROXY", "UV_INDEX_URL", "PIP_INDEX_URL"}


# ---- make lock ----

ROOT = Path(__file__).parents[2]
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def run_told(tmp_path: Path, conf: str, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "pip.conf").write_text(conf)
    env = {"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")} | more
    told = [sys.executable, "-m", "infra.bootstrap.told", *command]
    return subprocess.run(told, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_a_lock_is_made_with_what_pip_was_told(tmp_path: Path) -> None:
    """Index, proxy and certificates reach uv, and jgo's requests, by their own variables."""
    conf = "[global]\nindex-url = https://company.example/simple\ncert = /ca.pem\nclient-cert = /own.pem\nproxy = http://p:1\n"
    done = run_told(tmp_path, conf, sys.executable, "-c", SHOW, PIP_TARGET="/elsewhere")
    said = json.loads(done.stdout)
    assert said["UV_DEFAULT_INDEX"] == "https://company.example/simple"
    assert said["SSL_CERT_FILE"] == said["REQUESTS_CA_BUNDLE"] == "/ca.pem"
    assert said["SSL_CLIENT_CERT"] == "/own.pem"
    assert said["HTTPS_PROXY"] == "http://p:1"
    assert "PIP_TARGET" not in said


def test_what_a_lock_cannot_be_told_is_said(tmp_path: Path) -> None:
    """In one sentence; no lock is made from elsewhere than was meant."""
    done = run_told(tmp_path, "[global]\nkeyring-provider = subprocess\n", sys.executable, "-c", SHOW)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "mailonce: uv has no word for pip's setting keyring-provider\n"


def test_its_program_ends_it(tmp_path: Path) -> None:
    """`make` sees the program's own exit code."""
    assert run_told(tmp_path, "", sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_every_program_of_make_lock_is_told() -> None:
    """uv resolves the packages, jgo the jars; `wheels` tells uv itself. A name on a second index is taken for no other."""
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^lock:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    for line in recipe[1].splitlines():
        program = line.rpartition("|")[2].strip()
        assert program.startswith(("$(COMPILE) ", "$(TOLD) ", "$(BIN)/python -m infra.bootstrap.wheels")), line
    assert re.search(
        r"^COMPILE = \$\(TOLD\) \$\(BIN\)/uv pip compile --index-strategy first-index ", makefile, re.MULTILINE
    )
