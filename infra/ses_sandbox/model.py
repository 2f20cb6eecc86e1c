"""The sandbox's values: accepted messages, its settings, and errors with SES's real codes."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["AcceptedMail", "Attached", "SandboxSettings", "SesError", "user_key"]


class SesError(Exception):
    """An error answer: status, code (`x-amzn-ErrorType`) and SES's text."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Attached(msgspec.Struct, frozen=True):
    """A file that went with a message, without what it holds."""

    name: str
    content_type: str
    disposition: str
    content_id: str
    size: int
    """bytes, as the file has them"""
    sha256: str


class AcceptedMail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message that SES accepted, as the durable record holds it."""

    n: int
    at_ms: int
    message_id: str
    sender: str
    to: list[str]
    tags: dict[str, str]
    subject: str
    html: str = ""
    text: str = ""
    headers: dict[str, str] = {}
    attachments: list[Attached] = []
    options: dict[str, Any] = {}
    """SendEmail's further parameters, as they came"""
    template: str = ""
    configuration_set: str = ""
    fault: str = ""
    """The fault that spoiled the answer, if one did."""
    not_delivered: str = ""
    """Why an accepted message goes nowhere: suppressed address or rendering failure."""


class SandboxSettings(msgspec.Struct, kw_only=True):
    """What an admin may change while it runs. Numbers of -1 mean no limit."""

    max_send_rate: float = -1
    max_24_hour_send: float = -1
    quota_window_s: float = 86_400
    signature_age_s: float = 300
    latency_ms: float = 0
    sending_enabled: bool = True
    suspended: bool = False
    paused_sets: list[str] = []
    """configuration sets whose sending is paused"""
    production_access: bool = True
    verified: list[str] = msgspec.field(default_factory=lambda: ["example.com"])
    dkim: str = "SUCCESS"
    """what is told of every identity's DKIM"""
    mail_from: str = ""
    """every identity's own MAIL FROM domain; empty: none"""
    delivery_attempts: int = 0
    """for GetSendStatistics, as bounces and complaints"""
    bounces: int = 0
    complaints: int = 0
    keep_bodies: bool = True
    """Whether the record holds rendered bodies; without them millions of messages fit."""
    missing_reads: bool = False
    """Whether to lack the read calls that other emulators lack."""
    events_queue_url: str = ""
    events_endpoint: str = ""
    events_format: str = "sns"
    """sns (envelope), raw or eventbridge"""
    events_delay_s: float = 0
    events_duplicate_share: float = 0
    events_lost_share: float = 0
    events_shuffle: bool = False
    events_seed: int = 0
    events_held: bool = False
    """Whether events wait until an admin flushes them."""


def user_key(tags: dict[str, str]) -> tuple[str, str, str] | None:
    """What mailonce sends at most once: user, encoding and month of a message's tags."""
    if "mailonce_user" not in tags:
        return None
    return tags["mailonce_user"], tags.get("mailonce_encoding", ""), tags.get("mailonce_month", "")


def as_dict(value: msgspec.Struct) -> dict[str, Any]:
    result: dict[str, Any] = msgspec.to_builtins(value)
    return result
