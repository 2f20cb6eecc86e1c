"""Logging in to MSK with IAM, as far as it goes without AWS."""

from __future__ import annotations

import base64
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from confluent_kafka import KafkaError

from schemas.kafka import clients as wire
from schemas.kafka.clients import admin_config, last_trouble, transactional_config
from schemas.kafka.msk import msk_options
from schemas.runtime.errors import UsageError
from schemas.runtime.settings import load_settings


def test_the_token_is_a_signed_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the processes' own credentials, for the region, good for some minutes."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    config = admin_config(load_settings(kafka_auth="msk-iam"))
    token_of: Any = config["oauth_cb"]
    value, expires_s = token_of("")
    url = urlsplit(base64.urlsafe_b64decode(value + "==").decode())
    asked = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert url.netloc == "kafka.eu-central-1.amazonaws.com"
    assert asked["Action"] == "kafka-cluster:Connect"
    assert asked["X-Amz-Credential"].startswith("AKIDEXAMPLE/")
    assert 60 < expires_s - time.time() <= 900
    assert (config["security.protocol"], config["sasl.mechanism"]) == ("SASL_SSL", "OAUTHBEARER")
    assert "oauth_cb" in transactional_config(load_settings(kafka_auth="msk-iam"), "one")
    assert "oauth_cb" not in admin_config(load_settings())


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A region, the extra."""
    with pytest.raises(UsageError, match="needs AWS_REGION"):
        msk_options("")
    monkeypatch.setitem(__import__("sys").modules, "aws_msk_iam_sasl_signer", None)
    with pytest.raises(UsageError, match=r"mailonce\[msk\]"):
        msk_options("eu-central-1")


def test_why_nobody_may_come_in_is_kept() -> None:
    """librdkafka's calls only run out of time; its error callback knows more."""
    note: Any = admin_config(load_settings())["error_cb"]
    note(KafkaError(KafkaError._AUTHENTICATION, "wrong password"))
    note(KafkaError(KafkaError._ALL_BROKERS_DOWN, "down"))
    assert last_trouble() == "wrong password"
    wire._troubles.clear()
