"""Downloads from where jgo looks, on few connections: jgo opens two for each file, and reads all certificates anew."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import requests
from jgo.maven import MavenContext, PythonResolver

__all__ = ["context"]

_TIMEOUT_S = 60
_CHUNK = 1 << 16


class _FewConnections(PythonResolver):
    """jgo's resolver, with a session of its own for downloads; what came is compared by the caller."""

    def __init__(self, received: Counter[str]) -> None:
        super().__init__()
        self._session = requests.Session()
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
