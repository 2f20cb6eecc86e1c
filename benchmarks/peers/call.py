"""The one SES call of every peer, and who gets mail."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import boto3

__all__ = ["AT_ONCE", "send", "user_ids"]

AT_ONCE = 16
"""Threads, or tasks, where a peer has a number to choose."""


def user_ids(count: int) -> list[str]:
    return [f"u{n}" for n in range(count)]


@cache
def _client() -> Any:
    return boto3.client("sesv2")


def send(user_id: str) -> None:
    """One mail; boto3 retries by itself as it comes."""
    data = {"name": f"User {user_id}", "usage": "42", "plan": "Plus", "device": "Heat pump"}
    _client().send_email(
        FromEmailAddress="usage@example.com",
        Destination={"ToAddresses": [f"{user_id}@mail.example.net"]},
        Content={"Template": {"TemplateName": "bench", "TemplateData": json.dumps(data)}},
    )
