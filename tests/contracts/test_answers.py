"""Answers as public documentation and reports name them (`answers.json`, each with its source), through both transports.

`right` is what should follow: `wait` (refused for now), `quota`, `halt`, `own` (a halt, or this mail is dead when others
are accepted meanwhile), `clock` (the signature's time), `dead` (this mail), `held` (uncertain).
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from processor.building import make_sender
from processor.core.answers import (
    Accepted,
    Halt,
    NoQuota,
    RefusedForNow,
    RefusedMessage,
    SignatureRefused,
    Unknown,
    Verdict,
    classify,
)
from schemas.runtime.settings import load_settings
from tests.contracts.test_ses_sender import REQUEST, serving

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "answers.json").read_text())
TRANSPORTS = ("boto3", "lean")


def follows(verdict: Verdict) -> str:
    """What follows, in the words of the table."""
    match verdict:
        case Halt(own=own):
            return "own" if own else "halt"
        case RefusedForNow():
            return "wait"
        case NoQuota():
            return "quota"
        case SignatureRefused():
            return "clock"
        case RefusedMessage():
            return "dead"
        case Unknown():
            return "held"
    return "sent"


def as_bytes(case: dict[str, Any]) -> bytes:
    body = case["body"].encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in (case["headers"] | {"Content-Length": len(body)}).items())
    return f"HTTP/1.1 {case['status']} Said\r\n{head}\r\n".encode() + body


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_each_answer_means_what_its_source_says(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """G1, G2: no answer is taken for more than it proves, whichever transport asked."""
    said: dict[str, str] = {}
    with serving(b"") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{server.port}")
        sender = make_sender(load_settings(calls_at_once=1, ses_transport=transport))
        for case in CASES:
            server.answer = as_bytes(case)
            said[case["name"]] = follows(classify(await sender.send(REQUEST, lambda: "")))
        sender.close()
        assert server.requests == len(CASES), "one request an answer"
    assert said == {case["name"]: case["right"] for case in CASES}
    assert all(case["source"] for case in CASES)


def close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
ENDED = {
    "whole": (HEAD + b'{"MessageId": "0100-x"}', close, Accepted),
    "HTTP/1.0": (HEAD.replace(b"1.1", b"1.0") + b'{"MessageId": "0100-x"}', close, Accepted),
    "cut short": (HEAD + b'{"MessageId": "01', close, Unknown),
    "nothing": (HEAD, close, Unknown),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Type", close, Unknown),
    "chunks cut short": (HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}"), close, Unknown),
    "a length not reached": (HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 99\r\n\r\n{}"), close, Unknown),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("end", ENDED)
async def test_an_answer_that_ends_with_the_connection(
    transport: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9112, 6.3: without a length the answer is what came until the close. The transports agree."""
    answer, after, expected = ENDED[end]
    with serving(answer, after) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{server.port}")
        sender = make_sender(load_settings(calls_at_once=1, ses_transport=transport))
        verdict = classify(await sender.send(REQUEST, lambda: ""))
        sender.close()
    assert type(verdict) is expected, verdict
