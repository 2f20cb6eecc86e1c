"""The registry's mark, and what is said when the registry says no; a real one is asked in the integration tests."""

from __future__ import annotations

import sys
from typing import Any

import confluent_kafka.schema_registry as confluent
import pytest
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.codec import decode_job, encode, fingerprint_of, unmarked
from schemas.identity import Key
from schemas.registry import mark_of
from schemas.runtime.errors import MailonceError, UsageError
from schemas.runtime.settings import Settings, load_settings
from tests.support.world import MONTH, job


class Client:
    """Answers as it is told to."""

    answer: int | Exception = 258
    config: dict[str, Any]

    def __init__(self, config: dict[str, Any]) -> None:
        Client.config = config

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None: ...

    def register_schema(self, subject: str, schema: confluent.Schema) -> int:
        assert (subject, schema.schema_type) == ("email-jobs-value", "JSON")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(confluent, "SchemaRegistryClient", Client)
    return load_settings(schema_registry_url="https://me:p%40ss@registry.example.net/x")


def test_the_mark(settings: Settings) -> None:
    """A zero byte and the id; the password goes where it belongs."""
    assert mark_of(settings) == b"\0\0\0\1\2"
    assert Client.config["url"] == "https://registry.example.net/x"
    assert Client.config["basic.auth.user.info"] == "me:p@ss"
    assert mark_of(load_settings(schema_registry_url="http://registry.example.net")) == b"\0\0\0\1\2"
    assert "basic.auth.user.info" not in Client.config
    assert mark_of(load_settings()) == b""


def test_marked_jobs_are_jobs() -> None:
    """With the same fingerprint: publishing them plain again changes nothing."""
    plain = encode(job("u1"))
    key = Key("u1", MONTH)
    assert decode_job(key.to_bytes(), b"\0\0\0\0\1" + plain) == job("u1")
    assert fingerprint_of(b"\0\0\0\0\1" + plain, key) == fingerprint_of(plain, key)
    assert unmarked(b"") == unmarked(b"\0\0") == b""


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (SchemaRegistryError(409, 40901, "incompatible"), UsageError, "refuses subject email-jobs-value.*incompatible"),
        (OSError("refused"), MailonceError, "at registry.example.net does not answer: refused"),
    ],
)
def test_a_registry_that_says_no(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, answer: Exception, kind: type[Exception], says: str
) -> None:
    """Whose turn it is."""
    monkeypatch.setattr(Client, "answer", answer)
    with pytest.raises(kind, match=says):
        mark_of(settings)


def test_without_the_extra(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install."""
    monkeypatch.setitem(sys.modules, "confluent_kafka.schema_registry", None)
    with pytest.raises(UsageError, match=r"mailonce\[registry\]"):
        mark_of(settings)
