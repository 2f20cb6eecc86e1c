"""What the user told pip of networks and package indexes, said to uv and requests. Pure: texts in, environment out."""

from __future__ import annotations

import ast
from collections.abc import Mapping

__all__ = ["Untranslatable", "for_requests", "for_uv", "kept", "pip_settings"]

_WHERE = ("global", "install", ":env:")
"""Later ones win, as in pip."""
_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
}
_LISTS = {"extra-index-url": " ", "find-links": ",", "trusted-host": " "}
_OF_NO_MATTER = frozenset(
    "break-system-packages cache-dir disable-pip-version-check no-cache-dir no-color no-input no-warn-script-location "
    "prefer-binary progress-bar quiet require-virtualenv root-user-action use-pep517 user verbose "
    "no-python-version-warning no-warn-conflicts exists-action log compile no-compile config-file".split()
)
_KEPT_OF_UV = frozenset(
    "UV_CACHE_DIR UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_FIND_LINKS UV_INSECURE_HOST UV_OFFLINE "
    "UV_HTTP_TIMEOUT UV_HTTP_RETRIES UV_KEYRING_PROVIDER UV_NATIVE_TLS UV_SYSTEM_CERTS UV_LINK_MODE UV_NO_CACHE".split()
)
_BUNDLES_OF_REQUESTS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Also pip's, which has requests inside; uv does not know them."""
_PROXIES = frozenset(("http_proxy", "https_proxy", "all_proxy"))
_MISLEADING = frozenset(
    "PYTHONPATH PYTHONHOME PYTHONSAFEPATH PYTHONSTARTUP PYTHONWARNINGS PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX "
    "PYTHONOPTIMIZE VIRTUAL_ENV PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_CONSTRAINT PIP_REQUIREMENT PIP_NO_BINARY "
    "PIP_ONLY_BINARY PIP_PLATFORM PIP_PYTHON PIP_PYTHON_VERSION PIP_REQUIRE_HASHES PIP_NO_DEPS PIP_DRY_RUN".split()
)


class Untranslatable(Exception):
    """pip was told something that uv has no word for: pip must do it."""


def kept(environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what would lead Python, pip or uv elsewhere than into `.venv`."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _MISLEADING and (not name.startswith("UV_") or name in _KEPT_OF_UV)
    }


def pip_settings(listed: str) -> dict[str, str]:
    """What holds for `pip install`, from what `pip config list` printed."""
    found: dict[str, str] = {}
    for place in _WHERE:
        for line in listed.splitlines():
            name, separator, value = line.partition("=")
            if separator and name.startswith(f"{place}."):
                key = name.removeprefix(f"{place}.").replace("_", "-")
                found[key] = str(ast.literal_eval(value))
    return found


def for_uv(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Variables for uv; what the environment already says to uv stands. Raises `Untranslatable`."""
    said: dict[str, str] = {"UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never"}
    for key, value in settings.items():
        if key in _TO_UV:
            said[_TO_UV[key]] = _LISTS[key].join(value.split()) if key in _LISTS else value.strip()
        elif key == "proxy":
            said |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), value)
        elif key == "no-index":
            if value.lower() in ("1", "true", "yes", "on"):
                raise Untranslatable("pip's setting no-index")
        elif key not in _OF_NO_MATTER:
            raise Untranslatable(f"pip's setting {key}")
    bundle = _first(environment, *_BUNDLES_OF_REQUESTS)
    if bundle and not environment.get("SSL_CERT_FILE"):
        said.setdefault("SSL_CERT_FILE", bundle)
    if "UV_INDEX" in said:
        # pip looks into all indexes alike. The hashes say which file is meant, so no other can be slipped in.
        said["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in said.items() if name not in environment or name not in _KEPT_OF_UV}


def for_requests(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Variables for programs that download by requests; what the environment already says to them stands.

    ``SSL_CLIENT_CERT`` is uv's name, which `infra.maven` takes: requests has none.
    """
    said: dict[str, str] = {}
    bundle = settings.get("cert", "").strip() or environment.get("SSL_CERT_FILE")
    if bundle and not _first(environment, *_BUNDLES_OF_REQUESTS):
        said["REQUESTS_CA_BUNDLE"] = bundle
    own = settings.get("client-cert", "").strip()
    if own and not environment.get("SSL_CLIENT_CERT"):
        said["SSL_CLIENT_CERT"] = own
    proxy = settings.get("proxy", "").strip()
    if proxy and not any(value for name, value in environment.items() if name.lower() in _PROXIES):
        said |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), proxy)
    return said


def _first(environment: Mapping[str, str], *names: str) -> str | None:
    return next((value for name in names if (value := environment.get(name))), None)
