"""SendEmail's parameters besides sender, recipient and content: what SES checks of them, the sandbox does too."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from processor.adapters.attachments import AttachingSender
from processor.adapters.mail_options import Mails
from processor.core.answers import Accepted, Halt, RefusedMessage, ServiceError, classify
from processor.core.mail import template_content
from processor.doctor.ses import check_ses
from processor.wiring import make_sender
from schemas.identity import Place
from schemas.records import Job
from schemas.runtime.settings import load_settings
from tests.support.sandbox import SandboxAdmin
from tests.support.world import MONTH

ARN = "arn:aws:ses:us-east-1:123456789012:identity/example.com"
PDF = {"RawContent": b"%PDF", "FileName": "a.pdf", "ContentType": "application/pdf"}


@pytest.fixture
def ses(admin: SandboxAdmin) -> Any:
    """With a tenant, a contact list and a template."""
    client = admin.client()
    for make in (
        lambda: client.create_tenant(TenantName="acme"),
        lambda: client.create_contact_list(
            ContactListName="readers",
            Topics=[{"TopicName": "usage", "DisplayName": "u", "DefaultSubscriptionStatus": "OPT_IN"}],
        ),
        lambda: client.create_email_template(
            TemplateName="options", TemplateContent={"Subject": "Hi {{name}}", "Text": "x"}
        ),
    ):
        try:
            make()
        except ClientError as error:
            # Another test has made it.
            assert error.response["Error"]["Code"] in {"AlreadyExistsException", "LimitExceededException"}
    return client


def mail(*attachments: dict[str, Any], **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}
    return {
        "FromEmailAddress": "usage@example.com",
        "Destination": {"ToAddresses": ["a@mail.example.net"]},
        "Content": {"Simple": body | ({"Attachments": [*attachments]} if attachments else {})},
        **changes,
    }


TWO = {"ToAddresses": ["a@mail.example.net", "b@mail.example.net"]}
REFUSALS: dict[str, tuple[dict[str, Any], str, type]] = {
    "an attachment of a kind": (mail(PDF | {"FileName": "a.exe"}), "BadRequestException", RefusedMessage),
    "no ending": (mail(PDF | {"FileName": "a"}), "BadRequestException", RefusedMessage),
    "no content": (mail(PDF | {"RawContent": b""}), "BadRequestException", RefusedMessage),
    "no type": (mail(PDF | {"ContentType": "pdf"}), "BadRequestException", RefusedMessage),
    "no disposition": (mail(PDF | {"ContentDisposition": "BESIDE"}), "BadRequestException", RefusedMessage),
    "no encoding": (mail(PDF | {"ContentTransferEncoding": "UUENCODE"}), "BadRequestException", RefusedMessage),
    "no reply-to": (mail(ReplyToAddresses=["nobody"]), "BadRequestException", RefusedMessage),
    "no feedback address": (mail(FeedbackForwardingEmailAddress="x"), "BadRequestException", RefusedMessage),
    "no arn": (mail(FromEmailAddressIdentityArn="arn:x"), "BadRequestException", RefusedMessage),
    "a stranger's arn": (
        mail(FromEmailAddressIdentityArn=ARN.replace("example.com", "x.org")),
        "MessageRejected",
        Halt,
    ),
    "no tenant": (mail(TenantName="nobody"), "NotFoundException", Halt),
    "no list": (mail(ListManagementOptions={"ContactListName": "none"}), "NotFoundException", Halt),
    "no topic": (
        mail(ListManagementOptions={"ContactListName": "readers", "TopicName": "none"}),
        "BadRequestException",
        RefusedMessage,
    ),
    "two of a list": (
        mail(ListManagementOptions={"ContactListName": "readers"}, Destination=TWO),
        "BadRequestException",
        RefusedMessage,
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_ses_refuses_is_refused(ses: Any, admin: SandboxAdmin, what: str) -> None:
    """With a code that both transports know the meaning of; nothing is accepted."""
    request, code, verdict = REFUSALS[what]
    with pytest.raises(ClientError) as caught:
        ses.send_email(**request)
    assert caught.value.response["Error"]["Code"] == code
    status = caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert isinstance(classify(ServiceError(status, code, str(caught.value.response["Error"]["Message"]))), verdict)
    assert admin.accepted_count() == 0


@pytest.mark.parametrize("transport", ["boto3", "lean"])
async def test_every_option_is_on_record(
    ses: Any, admin: SandboxAdmin, transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the settings say it, by either transport; an attachment by its hash, one beyond a megabyte as well."""
    large = bytes(range(256)) * 8_000
    (tmp_path / "terms.pdf").write_bytes(b"%PDF")
    (tmp_path / "large.bin").write_bytes(large)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", admin.url)
    settings = load_settings(
        from_address="usage@example.com",
        reply_to_address="help@example.com",
        tenant_name="acme",
        from_identity_arn=ARN,
        feedback_address="bounces@example.com",
        contact_list="readers",
        contact_topic="usage",
        mail_headers={"X-Plan": "{plan}"},
        attachments_folder=str(tmp_path),
        mail_attachments=["terms.pdf", {"file": "large.bin", "name": "{plan}.bin"}],
        ses_transport=transport,
    )
    job = Job(
        v=1,
        user_id="u1",
        month=MONTH,
        email="a@mail.example.net",
        template="options",
        data={"plan": "Plus", "name": "N"},
    )
    sender = make_sender(settings)
    request = Mails(settings, {}, "i1").request(job, "a1", Place(0, 0), template_content(job))
    assert isinstance(await AttachingSender(sender).send(request, lambda: ""), Accepted)
    sender.close()
    (kept,) = admin.accepted()
    assert kept.headers == {"X-Plan": "Plus"}
    assert kept.options == {
        "ReplyToAddresses": ["help@example.com"],
        "FromEmailAddressIdentityArn": ARN,
        "FeedbackForwardingEmailAddress": "bounces@example.com",
        "TenantName": "acme",
        "ListManagementOptions": {"ContactListName": "readers", "TopicName": "usage"},
    }
    assert [(one.name, one.content_type, one.size) for one in kept.attachments] == [
        ("terms.pdf", "application/pdf", 4),
        ("Plus.bin", "application/octet-stream", len(large)),
    ]
    assert kept.attachments[1].sha256 == hashlib.sha256(large).hexdigest()


def test_the_doctor_reads_what_bulk_senders_are_asked_for(
    ses: Any, admin: SandboxAdmin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As SES and the settings tell; a stand-in that does not tell is no fault."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", admin.url)
    settings = load_settings(from_address="usage@example.com", templates_folder=str(tmp_path))

    def found() -> dict[str, tuple[str, str]]:
        return {one.what: (str(one.level), one.found) for one in check_ses(settings)}

    before = found()
    assert before["dkim"] == ("fine", "example.com is signed")
    assert before["mail from"][0] == before["unsubscribing"][0] == "note"
    assert before["complaints"] == ("fine", "0 mails in 14 days: too few for a rate")
    admin.set(dkim="FAILED", mail_from="m.example.com", delivery_attempts=10_000, complaints=31, bounces=600)
    settings = settings.model_copy(update={"unsubscribe_url": "https://example.com/u"})
    after = found()
    assert {name: after[name][0] for name in ("dkim", "mail from", "unsubscribing", "complaints", "bounces")} == {
        "dkim": "note",
        "mail from": "fine",
        "unsubscribing": "fine",
        "complaints": "bad",
        "bounces": "note",
    }
    assert after["complaints"][1] == "0.31% of the account's mails in 14 days, 0.3% or more"


def test_the_one_call_of_v1(admin: SandboxAdmin) -> None:
    """Others are refused as SES refuses what it does not know."""
    v1 = boto3.client("ses", endpoint_url=admin.url, region_name="us-east-1")
    with pytest.raises(ClientError, match="does not emulate"):
        v1.get_send_quota()
    assert json.dumps(v1.get_send_statistics()["SendDataPoints"]) == "[]"
