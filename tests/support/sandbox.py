"""The SES sandbox's admin API, for tests."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from infra.ses_sandbox.model import AcceptedMail, SandboxSettings, as_dict
from infra.ses_sandbox.record import read_record_file
from schemas.identity import Key, read_tags

LIMIT_S = 60.0


class SandboxAdmin:
    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.record_file = folder / "accepted.jsonl"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sandbox/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            return json.loads(answer.read())

    def reset(self) -> None:
        self.call("DELETE", "faults")
        self.call("DELETE", "accepted")
        self.call("PATCH", "settings", as_dict(SandboxSettings()))

    def client(self, read_timeout_s: float = 60) -> Any:
        """SES v2's client of boto3, which tries nothing twice."""
        import boto3
        from botocore.config import Config

        config = Config(retries={"total_max_attempts": 1}, read_timeout=read_timeout_s)
        return boto3.client("sesv2", endpoint_url=self.url, config=config, region_name="us-east-1")

    def set(self, **changes: Any) -> None:
        self.call("PATCH", "settings", changes)

    def fault(self, kind: str, **rule: Any) -> None:
        self.call("POST", "faults", {"kind": kind, **rule})

    def clear_faults(self) -> None:
        self.call("DELETE", "faults")

    def accepted_count(self) -> int:
        return int(self.call("GET", "summary")["accepted"])

    def refused(self) -> dict[str, int]:
        """SendEmail's refusals by SES's code."""
        return dict(self.call("GET", "summary")["refused"])

    def accepted(self) -> list[AcceptedMail]:
        """The record itself, from its file."""
        return list(read_record_file(self.record_file))

    def by_key(self) -> dict[Key, list[AcceptedMail]]:
        found: dict[Key, list[AcceptedMail]] = {}
        for mail in self.accepted():
            tags = read_tags(mail.tags)
            assert tags is not None, f"a message without mailonce's tags: {mail}"
            found.setdefault(tags[0], []).append(mail)
        return found
