"""What every program does first: loopback is spared the proxy, in the words of each HTTP client that we use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import pytest
import requests.utils
from aiohttp.helpers import get_env_proxy_for_url
from botocore.utils import get_environ_proxies
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from schemas.runtime.entry import sparing_loopback

DEAD = "http://127.0.0.1:9"
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
LOOPBACK = [
    "http://127.0.0.1:8579/x",
    "http://127.0.0.1/",
    "https://localhost:8443/",
    "http://ses.localhost:80/",
    "http://127.0.0.7:9324/",
    "http://[::1]:80/",
]
REMOTE = [
    "https://email.us-east-1.amazonaws.com/",
    "http://example.com:80/",
    "http://notlocalhost:80/",
    "http://10.0.0.1:1/",
]


def _aiohttp(url: str) -> bool:
    try:
        get_env_proxy_for_url(URL(url))
    except LookupError:
        return False
    return True


def _httpx(url: str) -> bool:
    """As confluent-kafka's client of a schema registry has it; no certificate is looked at here, so none is read."""
    from confluent_kafka.schema_registry.common._httpx_compat import httpx

    with httpx.Client(verify=False) as client:
        return client._transport_for_url(httpx.URL(url)) is not client._transport


CLIENTS: dict[str, Callable[[str], bool]] = {
    "urllib": lambda url: urlsplit(url).scheme in getproxies() and not proxy_bypass(urlsplit(url).netloc),
    "botocore": lambda url: urlsplit(url).scheme in get_environ_proxies(url),
    "requests": lambda url: bool(requests.utils.get_environ_proxies(url)),
    "aiohttp": _aiohttp,
    "httpx": _httpx,
}


@pytest.fixture(params=["upper", "lower", "both"])
def behind_a_proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in NAMES:
        if request.param != "lower":
            monkeypatch.setenv(name, DEAD)
        if request.param != "upper":
            monkeypatch.setenv(name.lower(), DEAD)
    monkeypatch.setenv("NO_PROXY", "intern.example.net")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.7:9324")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", "http://[::1]:8579")
    for name, value in sparing_loopback(os.environ).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.usefixtures("behind_a_proxy")
def test_loopback_takes_no_proxy_and_other_hosts_do(client: str) -> None:
    """Each client's own reading of the variables: no name of loopback goes astray, no remote host is spared."""
    through = CLIENTS[client]
    assert [url for url in LOOPBACK if through(url)] == []
    assert [url for url in REMOTE if not through(url)] == []
    assert not through("http://intern.example.net/")


def test_without_a_proxy_nothing_is_set() -> None:
    """A variable of the kind would hide macOS's own proxies."""
    assert sparing_loopback({"NO_PROXY": "a", "HTTP_PROXY": "", "PATH": "/bin"}) == {}


def test_what_the_user_spares_stays() -> None:
    """Both spellings keep what they have; a missing one has what the other has; `*` stays alone."""
    base = {"https_proxy": DEAD}
    both = sparing_loopback(base | {"no_proxy": "a, b", "NO_PROXY": "c"})
    assert both["no_proxy"].startswith("a,b,localhost,")
    assert both["NO_PROXY"].startswith("c,localhost,")
    one = sparing_loopback(base | {"NO_PROXY": "c"})
    assert one["no_proxy"] == one["NO_PROXY"]
    assert set(sparing_loopback(base | {"no_proxy": "*"}).values()) == {"*"}


# Commas and spaces part entries, and NUL is in no variable.
_entries = st.lists(st.text(st.characters(blacklist_characters=", \t\0", blacklist_categories=("Z", "C")), max_size=8))


@given(_entries, st.sampled_from(["no_proxy", "NO_PROXY"]))
def test_a_second_program_changes_nothing(entries: list[str], name: str) -> None:
    """A child inherits the variables and sets the same."""
    environ = {"all_proxy": DEAD, name: ",".join(entries)}
    first = environ | sparing_loopback(environ)
    assert first | sparing_loopback(first) == first


def test_a_bracketed_address_is_named_only_where_a_setting_has_it() -> None:
    """httpx before 1.0 ends with an error at ``[::1]`` in the list."""
    assert "[::1]" not in sparing_loopback({"ALL_PROXY": DEAD})["NO_PROXY"].split(",")
    assert "::1" in sparing_loopback({"ALL_PROXY": DEAD})["NO_PROXY"].split(",")


def test_a_terminal_that_cannot_show_a_character_ends_nothing(tmp_path: Path) -> None:
    """An ASCII terminal gets a question mark."""
    code = "from schemas.runtime.entry import enter; enter(); print('caf\\u00e9')"
    env = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "caf?\n"
