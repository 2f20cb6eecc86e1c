"""What SES is told of each mail besides its content: by settings, and by a template's own file."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator

from processor.adapters.mail_options import mail_config, settings_of_templates
from processor.adapters.ses_wire import take_specimen
from processor.core.mail import MailConfig, compose, unsubscribe_token
from processor.trial import request_of, trial
from schemas.identity import Place
from schemas.records import Job
from schemas.runtime.errors import BadRecord, UsageError
from schemas.runtime.settings import Settings, load_settings
from tests.support.world import MONTH

SECRET = "0123456789abcdef"
ARN = "arn:aws:ses:eu-west-1:123456789012:identity/example.com"


def job(**data: Any) -> Job:
    return Job(v=1, user_id="ü 1", month=MONTH, email="a@b.de", template="t", data=data)


def settings(**values: Any) -> Settings:
    return load_settings(from_address="f@example.com", **values)


def sent(config: MailConfig, **data: Any) -> dict[str, Any]:
    return compose(job(**data), "a1", Place(0, 0), config)


def headers(request: dict[str, Any]) -> dict[str, str]:
    return {one["Name"]: one["Value"] for one in request["Content"]["Template"]["Headers"]}


def test_every_option_is_what_botocore_knows() -> None:
    """Each name and type is SendEmail's own; what is not set is not said."""
    every = settings(
        tenant_name="acme",
        from_identity_arn=ARN,
        feedback_address="bounces@example.com",
        contact_list="readers",
        contact_topic="usage",
        mail_headers={"X-Plan": "{plan}, {month}", "X-Kind": "usage"},
    )
    request = sent(mail_config(every, "i1"), plan="Plus")
    assert request["TenantName"] == "acme"
    assert request["FromEmailAddressIdentityArn"] == ARN
    assert request["FeedbackForwardingEmailAddress"] == "bounces@example.com"
    assert request["ListManagementOptions"] == {"ContactListName": "readers", "TopicName": "usage"}
    assert headers(request) == {"X-Plan": f"Plus, {MONTH}", "X-Kind": "usage"}
    client = boto3.client("sesv2", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    shape = client.meta.service_model.operation_model("SendEmail").input_shape
    assert not ParamValidator().validate(request, shape).has_errors()
    assert take_specimen(client, request).body == json.dumps(request).encode(), "the lean transport writes it so"
    plain = sent(mail_config(settings(contact_list="all"), "i1"))
    assert set(plain) == {"FromEmailAddress", "Destination", "Content", "EmailTags", "ListManagementOptions"}
    assert "Headers" not in plain["Content"]["Template"]


@pytest.mark.parametrize(
    ("data", "says"),
    [({}, "header X-Plan needs plan, which the job lacks"), ({"plan": "Ü"}, "printable ASCII"), ({"plan": "a\nb"}, "printable")],
)  # fmt: skip
def test_a_header_that_cannot_be_made_is_no_mail(data: dict[str, Any], says: str) -> None:
    """Found before the call: boto3 would send it."""
    with pytest.raises(ValueError, match=says):
        sent(MailConfig("f@example.com", headers={"X-Plan": "{plan}"}), **data)


def test_a_token_cannot_be_forged() -> None:
    """It is HMAC-SHA256 over the user id alone, so that whoever answers the click needs the secret and nothing else."""
    url = "https://example.com/u?id={user_id}&t={token}&l={lang}"
    config = mail_config(settings(unsubscribe_url=url, unsubscribe_secret=SECRET), "")
    link = headers(sent(config, lang="d/e"))["List-Unsubscribe"]
    token = unsubscribe_token(SECRET, "ü 1")
    assert link == f"<https://example.com/u?id=%C3%BC%201&t={token}&l=d%2Fe>"
    assert urlsafe_b64decode(token + "=") == hmac.new(SECRET.encode(), "ü 1".encode(), hashlib.sha256).digest()
    assert token != unsubscribe_token(SECRET, "ü 2") != unsubscribe_token(SECRET + "x", "ü 2")
    assert SECRET not in repr(config)
    with pytest.raises(ValueError, match="the unsubscribe URL needs lang"):
        sent(config)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"unsubscribe_url": "https://x.de/{token}"}, "set MAILONCE_UNSUBSCRIBE_SECRET"),
        ({"unsubscribe_secret": "short"}, "16 characters or more"),
        ({"contact_topic": "t"}, "set MAILONCE_CONTACT_LIST"),
        ({"contact_list": "l", "unsubscribe_url": "https://x.de/"}, "exclude each other"),
        ({"mail_headers": {"Bcc": "x@y.z"}}, "Bcc cannot be set here"),
        ({"mail_headers": {"X Y": "z"}}, "not a header name"),
        ({"mail_headers": {"X": "{a.b}"}}, "braces hold one name"),
        ({"mail_headers": {"X": "{}"}}, "braces hold one name"),
        ({"feedback_address": "nobody"}, "it has no @"),
        ({"from_identity_arn": "arn:aws:iam::1:role/x"}, "must be like arn:aws:ses"),
    ],
)
def test_what_ses_would_refuse_is_refused_at_the_start(values: dict[str, Any], says: str) -> None:
    """Not with each of a million mails."""
    with pytest.raises(UsageError, match=says):
        settings(**values)


def test_a_template_has_options_of_its_own(tmp_path: Path) -> None:
    """What its file does not say is as for all mails; a preview shows what SES would be told."""
    for name, text in (("t", 'reply_to_address = "h@example.com"\n[mail_headers]\nX-A = "{a}"\n'), ("other", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mail.toml").write_text(text)
    every = settings(configuration_set="set", tenant_name="acme", templates_folder=str(tmp_path))
    found = settings_of_templates(every, tmp_path)
    assert found["other"] == every
    assert request_of(found["t"], job(a="1")) == {
        "FromEmailAddress": "f@example.com",
        "ReplyToAddresses": ["h@example.com"],
        "ConfigurationSetName": "set",
        "TenantName": "acme",
        "Headers": {"X-A": "1"},
    }
    for file in ("subject.txt", "body.txt"):
        (tmp_path / "t" / file).write_text("x")
        (tmp_path / "other" / file).write_text("x")
    for render in ("ses", "local"):
        with trial(every.model_copy(update={"render": render}), tmp_path) as check:
            check(job(a="1"))
            with pytest.raises(BadRecord, match="header X-A needs a"):
                check(job())
    assert settings_of_templates(every, tmp_path / "none") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cc = 'x@y.z'", "one recipient"),
        ("Bcc = 'x@y.z'", "one recipient"),
        ("redis_url = 'x'", "redis_url is no option of a mail"),
        ("endpoint_id = 'x'", "endpoint_id is no option"),
        ("from_address = 'nobody'", "from_address: .*it has no @"),
        ("x = ", "mail.toml: "),
        ("contact_topic = 't'", "set MAILONCE_CONTACT_LIST"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    """With what is wrong in it; two recipients of one call could not be told apart afterwards."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "mail.toml").write_text(text)
    with pytest.raises(UsageError, match=says):
        settings_of_templates(settings(), tmp_path)


def test_a_multi_region_endpoint_needs_its_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said at the start; with it the endpoint is named in each call."""
    monkeypatch.setattr("processor.adapters.mail_options.HAS_CRT", False)
    with pytest.raises(UsageError, match="awscrt"):
        mail_config(settings(endpoint_id="abc.123"), "")
    monkeypatch.setattr("processor.adapters.mail_options.HAS_CRT", True)
    with pytest.raises(UsageError, match="awscrt"):
        mail_config(settings(endpoint_id="abc.123", ses_transport="lean"), "")
    assert sent(mail_config(settings(endpoint_id="abc.123", ses_transport="boto3"), ""))["EndpointId"] == "abc.123"
