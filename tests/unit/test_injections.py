"""What comes from outside stays what it is: no header, no log line, no path, no address to call."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import structlog

from mailonce.preview import write_files
from processor.core.evidence import Foreign, read_event
from processor.core.mail import MailConfig, compose
from processor.trial import preview
from producer.sources.objects import fetch
from schemas.identity import Place
from schemas.records import Job
from schemas.runtime.logs import Event, configure_logs, get_log
from schemas.runtime.settings import load_settings
from tests.support.world import MONTH

EVIL = "a\r\nBcc: all@example.net\x1b[31m\u2028x"


def job(user: str = "u1", **data: Any) -> Job:
    return Job(v=1, user_id=user, month=MONTH, email="a@b.de", template="monthly-usage", data=data)


def test_no_user_id_becomes_a_header() -> None:
    """The unsubscribe link holds it percent-encoded, tags base64url."""
    config = MailConfig("from@example.net", unsubscribe_url="https://example.net/{user_id}")
    request = compose(job(EVIL), "attempt", Place(), config)
    flat = json.dumps(request, ensure_ascii=False)
    assert "\r" not in flat
    assert "\n" not in flat
    assert "Bcc: " not in flat


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_value_becomes_a_log_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A log has one line a record, and no escape sequence of a user's."""
    configure_logs(form)
    try:
        get_log().warning(Event.UNREADABLE, key=EVIL, error=EVIL)
    finally:
        structlog.reset_defaults()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "\x1b[31m" not in lines[0]


@pytest.mark.parametrize("user", ["../../etc/passwd", "/etc/passwd", "..", "a/b\0c"])
def test_no_user_id_becomes_a_path(user: str, tmp_path: Path) -> None:
    """A preview's files stay in their folder."""
    settings = load_settings(render="local", templates_folder="infra/demo/templates")
    names = ("name", "device", "usage_kwh", "active_days", "plan", "cost_eur", "change_percent")
    evil = job(user, **dict.fromkeys(names, "x"))
    write_files(tmp_path / "out", evil, preview(settings, evil))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.relative_to(tmp_path).parts[0] for path in written] == ["out", "out"]
    assert all("x" in path.read_text() for path in written)


@pytest.mark.parametrize("key", ["in/../../../x.csv", "/etc/passwd", "in/..\\x.csv"])
def test_no_objects_name_becomes_a_path(key: str, tmp_path: Path) -> None:
    """Whoever may write into the bucket names its objects."""

    class S3:
        def get_object(self, **_asked: str) -> dict[str, Any]:
            return {"Body": self}

        def iter_chunks(self, _size: int) -> list[bytes]:
            return [b"user_id,email\n"]

    folder = tmp_path / "spool"
    folder.mkdir()
    fetch(S3(), "bucket", key, folder)
    assert [path.parent for path in tmp_path.rglob("*") if path.is_file()] == [folder]


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_no_event_is_an_address_to_call(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SNS's notices hold URLs; whoever can write into the queue could name any."""

    def connect(*_args: object) -> None:
        raise AssertionError("a URL of a message was called")

    monkeypatch.setattr(socket.socket, "connect", connect)
    urls = dict.fromkeys(("SubscribeURL", "SigningCertURL"), "http://169.254.169.254/latest/meta-data/")
    assert isinstance(read_event(json.dumps({"Type": kind, "Message": "x", **urls}).encode()), Foreign)
    event = {"eventType": "Send", "mail": {"messageId": "m", "tags": {"mailonce_user": [EVIL]}, "destination": urls}}
    wrapped = {"Type": "Notification", "Message": json.dumps(event), **urls}
    read_event(json.dumps(wrapped).encode())
