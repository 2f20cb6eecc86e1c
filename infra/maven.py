"""Downloads from where jgo looks, on few connections: jgo opens two for each file, and reads all certificates anew."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import requests
from jgo.maven import MavenContext, PythonResolver

__all__ = ["advice", "context"]

_CERTIFICATE = "REQUESTS_CA_BUNDLE names the file of certificates to trust (for `make setup`, pip's `cert` does too)"
_OWN = (
    "SSL_CLIENT_CERT names the file with your certificate and its key (for `make setup`, pip's `client-cert` does too)"
)
_PROXY = "HTTPS_PROXY names the proxy (for `make setup`, pip's `proxy` does too)"
_TIMEOUT_S = 60
_CHUNK = 1 << 16


class _FewConnections(PythonResolver):
    """jgo's resolver, with a session of its own for downloads; what came is compared by the caller."""

    def __init__(self, received: Counter[str]) -> None:
        super().__init__()
        self._session = requests.Session()
        # requests has no variable for it; uv has this one, and takes the same file.
        self._session.cert = os.environ.get("SSL_CLIENT_CERT") or None
        self._received = received

    def download(self, artifact: Any) -> Path:
        """Raises `RuntimeError` or requests' errors."""
        answers = []
        for repository in artifact.context.remote_repos.values():
            url = f"{repository}/{artifact.component.path_prefix.as_posix()}/{artifact.filename}"
            with self._session.get(url, stream=True, timeout=_TIMEOUT_S) as answer:
                if answer.status_code == requests.codes.ok:
                    return self._store(answer, artifact.cached_path)
                answers.append(f"{answer.status_code} {answer.reason}")
        raise RuntimeError(f"{artifact.filename}: {', '.join(answers)}")

    def _store(self, answer: requests.Response, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._received[path.name] = 0
        with path.open("wb") as file:
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                self._received[path.name] += len(chunk)
        return path


def context(work: Path, received: Counter[str]) -> Any:
    """jgo's context with `work` for its repository; the bytes of each file are counted in `received`."""
    return MavenContext(repo_cache=work, resolver=_FewConnections(received))


def advice(error: Exception) -> str:
    """Where to look when a download failed by `error`."""
    match error:
        case OSError() if "TLS certificate file" in str(error):  # requests' own, of one that is not there
            return _OWN
        case requests.exceptions.SSLError() if "CERTIFICATE_VERIFY_FAILED" not in str(error):
            return f"{_CERTIFICATE}; where yours is asked for, {_OWN}"
        case requests.exceptions.SSLError():
            return _CERTIFICATE
        case requests.exceptions.ProxyError() | requests.exceptions.InvalidProxyURL():
            return _PROXY
        case requests.exceptions.ConnectionError() | requests.exceptions.Timeout():
            return f"Check the network, then try again; where there is a proxy, {_PROXY}"
        case OSError() if "certificate" in str(error):  # requests' own, of a bundle that is not there
            return _CERTIFICATE
    return "Check the network, then try again"
