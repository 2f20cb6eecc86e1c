"""A company's proxy, and its certificate: told to pip, they hold for the jars as well."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.bootstrap import index
from infra.bootstrap.steps import Steps
from infra.jars import fetch, wrong
from schemas.runtime.errors import SetupError
from tests.setup.test_jars import CONTENTS, LOCK
from tests.support.company import Company

ROOT = Path(__file__).parents[2]
DEAD = "http://127.0.0.1:9"


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    content = {jar.name: CONTENTS[jar.artifact] for jar in LOCK.jars}
    company = Company(tmp_path, "repo.maven.apache.org", content)
    yield company
    company.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Company]:
    """It answers those alone who show a certificate of their own."""
    content = {jar.name: CONTENTS[jar.artifact] for jar in LOCK.jars}
    company = Company(tmp_path, "repo.maven.apache.org", content, known=True)
    yield company
    company.close()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing of networks and pip, and a cache of the test's own."""
    for name in os.environ:
        if name not in {"PATH", "HOME", "LANG"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return monkeypatch


def the_jars_environment() -> dict[str, str]:
    return Steps(ROOT, sys.executable, os.environ, ()).jars().environment


@pytest.mark.parametrize("where", ["variables", "file"])
def test_what_pip_was_told_holds_for_the_jars(
    company: Company, bare: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    """The whole way: the proxy is asked, its certificate is trusted, every jar comes."""
    if where == "file":
        (tmp_path / "pip.conf").write_text(f"[global]\nproxy = {company.proxy}\ncert = {company.certificate}\n")
        bare.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    else:
        bare.setenv("PIP_PROXY", company.proxy)
        bare.setenv("PIP_CERT", str(company.certificate))
    for name, value in the_jars_environment().items():
        bare.setenv(name, value)
    fetch(LOCK, str)
    assert wrong(LOCK) == []
    assert set(company.asked) == {"repo.maven.apache.org:443"}


def test_what_the_environment_says_stands() -> None:
    """It is nearer than pip's settings, in whatever case it is written; what it leaves open pip's settings say."""
    told = {"cert": "/etc/ca.pem\n", "proxy": DEAD}
    proxies = {"HTTP_PROXY": DEAD, "HTTPS_PROXY": DEAD}
    assert index.for_requests(told, {"https_proxy": ""}) == {"REQUESTS_CA_BUNDLE": "/etc/ca.pem", **proxies}
    assert index.for_requests(told, {"CURL_CA_BUNDLE": "/mine.pem"}) == proxies
    for name in ("HTTPS_PROXY", "https_proxy", "all_proxy"):
        assert index.for_requests(told, {name: "http://mine"}) == {"REQUESTS_CA_BUNDLE": "/etc/ca.pem"}
    assert index.for_requests({}, {"SSL_CERT_FILE": "/mine.pem"}) == {"REQUESTS_CA_BUNDLE": "/mine.pem"}
    assert index.for_requests({}, {}) == {}


def test_a_strange_certificate_names_the_variable(company: Company, bare: pytest.MonkeyPatch) -> None:
    """Which variable, and which setting of pip's, names the file that is to be trusted."""
    bare.setenv("HTTPS_PROXY", company.proxy)
    with pytest.raises(SetupError, match="REQUESTS_CA_BUNDLE.*pip's `cert`"):
        fetch(LOCK, str)
    bare.setenv("REQUESTS_CA_BUNDLE", "/missing.pem")
    with pytest.raises(SetupError, match=r"/missing\.pem.*REQUESTS_CA_BUNDLE"):
        fetch(LOCK, str)


def test_a_proxy_that_is_away_names_the_variable(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("HTTPS_PROXY", DEAD)
    with pytest.raises(SetupError, match="HTTPS_PROXY.*pip's `proxy`"):
        fetch(LOCK, str)


@pytest.mark.parametrize("where", ["variables", "file"])
def test_the_certificate_shown_to_indexes_is_shown_for_the_jars(
    guarded: Company, bare: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    """pip's `client-cert`, a file with certificate and key: requests itself knows no variable for it."""
    bare.setenv("PIP_PROXY", guarded.proxy)
    bare.setenv("PIP_CERT", str(guarded.certificate))
    if where == "file":
        (tmp_path / "pip.conf").write_text(f"[global]\nclient-cert = {guarded.own_certificate}\n")
        bare.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    else:
        bare.setenv("PIP_CLIENT_CERT", str(guarded.own_certificate))
    for name, value in the_jars_environment().items():
        bare.setenv(name, value)
    fetch(LOCK, str)
    assert wrong(LOCK) == []


@pytest.mark.parametrize("shown", ["", "/nowhere/own.pem"])
def test_a_certificate_that_is_missing_is_named(guarded: Company, bare: pytest.MonkeyPatch, shown: str) -> None:
    """The variable and pip's setting, whether nothing was said or a file that is not there."""
    bare.setenv("HTTPS_PROXY", guarded.proxy)
    bare.setenv("REQUESTS_CA_BUNDLE", str(guarded.certificate))
    bare.setenv("SSL_CLIENT_CERT", shown)
    with pytest.raises(SetupError, match=r"SSL_CLIENT_CERT .*pip's `client-cert`"):
        fetch(LOCK, str)


def test_the_nearest_certificate_is_shown() -> None:
    """What the environment says to uv, and so to us, stands before pip's setting."""
    assert index.for_requests({"client-cert": "/pip.pem"}, {})["SSL_CLIENT_CERT"] == "/pip.pem"
    assert "SSL_CLIENT_CERT" not in index.for_requests({"client-cert": "/pip.pem"}, {"SSL_CLIENT_CERT": "/mine.pem"})
