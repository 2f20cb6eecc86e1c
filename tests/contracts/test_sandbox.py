"""The SES sandbox as an unmodified boto3 sees it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from infra.embedded import Stack
from infra.ses_sandbox.connect import make_configuration_set
from infra.ses_sandbox.limits import Limits
from infra.ses_sandbox.model import SandboxSettings, SesError
from infra.ses_sandbox.record import Record, read_record_file
from infra.ses_sandbox.send import signature_text
from processor.building import make_sender
from processor.core.answers import Halt, ServiceError, SignatureRefused, classify
from processor.doctor.ses import check_ses
from schemas.addresses import mailbox
from schemas.runtime.errors import Halted
from schemas.runtime.settings import load_settings
from tests.support.sandbox import SandboxAdmin
from tests.support.world import wait_for

TEMPLATE = {"Subject": "Hi {{name}}", "Text": "Hi {{name}}", "Html": "<p>{{name}}</p>{{#if plan}}{{plan}}{{/if}}"}


@pytest.fixture
def ses(admin: SandboxAdmin) -> Any:
    return admin.client()


@pytest.fixture
def template(ses: Any) -> str:
    ses.delete_email_template(TemplateName="t")
    ses.create_email_template(TemplateName="t", TemplateContent=TEMPLATE)
    return "t"


def mail(to: str = "a@mail.example.net", **changes: Any) -> dict[str, Any]:
    return {
        "FromEmailAddress": "usage@example.com",
        "Destination": {"ToAddresses": [to]},
        "Content": {
            "Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}, "Html": {"Data": "<b>t</b>"}}}
        },
        **changes,
    }


def templated(data: dict[str, Any], name: str = "t", **template: Any) -> dict[str, Any]:
    return {"Content": {"Template": {"TemplateName": name, "TemplateData": json.dumps(data), **template}}}


def test_an_accepted_message_is_on_record_before_the_answer(ses: Any, admin: SandboxAdmin, template: str) -> None:
    """Who, when, tags, MessageId, rendered body: the judge of every test."""
    answer = ses.send_email(
        **mail(
            "anna@mail.example.net",
            **templated({"name": "<Anna>", "plan": "Plus"}, Headers=[{"Name": "X-One", "Value": "1"}]),
            EmailTags=[{"Name": "k", "Value": "v"}],
        )
    )
    (kept,) = admin.accepted()
    assert kept.message_id == answer["MessageId"]
    assert (kept.to, kept.tags, kept.headers) == (["anna@mail.example.net"], {"k": "v"}, {"X-One": "1"})
    # SES does not escape values.
    assert (kept.subject, kept.text, kept.html) == ("Hi <Anna>", "Hi <Anna>", "<p><Anna></p>Plus")
    assert abs(kept.at_ms / 1000 - time.time()) < 300


REFUSALS: list[tuple[dict[str, Any], dict[str, Any], str, int]] = [
    (mail(FromEmailAddress="x@stranger.example.org"), {}, "MessageRejected", 400),
    (mail("no-at-sign"), {}, "BadRequestException", 400),
    (mail(EmailTags=[{"Name": "a", "Value": "b c"}]), {}, "BadRequestException", 400),
    (
        mail(**templated({"name": "x"}, Headers=[{"Name": f"X-{n}", "Value": "1"} for n in range(16)])),
        {},
        "BadRequestException",
        400,
    ),
    (mail(**templated({}, name="none")), {}, "NotFoundException", 404),
    (mail(ConfigurationSetName="none"), {}, "NotFoundException", 404),
    (mail(**templated({"name": "x" * 262_145})), {}, "BadRequestException", 400),
    (mail(), {"sending_enabled": False}, "SendingPausedException", 400),
    (mail(), {"suspended": True}, "AccountSuspendedException", 400),
    (mail(), {"max_24_hour_send": 0}, "LimitExceededException", 400),
    (mail(), {"max_send_rate": 0}, "TooManyRequestsException", 429),
    (mail("stranger@else.example.org"), {"production_access": False}, "MessageRejected", 400),
]


@pytest.mark.parametrize(
    ("request_", "setting", "code", "status"), REFUSALS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_refusals_are_modelled_exceptions(
    ses: Any,
    admin: SandboxAdmin,
    template: str,
    request_: dict[str, Any],
    setting: dict[str, Any],
    code: str,
    status: int,
) -> None:
    """Real codes and HTTP statuses; boto3 raises its own classes; nothing is accepted."""
    if "max_send_rate" in setting:
        admin.set(max_send_rate=1)
        ses.send_email(**mail())
    admin.set(**setting)
    before = admin.accepted_count()
    with pytest.raises(ClientError) as caught:
        ses.send_email(**request_)
    assert isinstance(caught.value, getattr(ses.exceptions, code))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert admin.accepted_count() == before


FAULTS = {
    "throttle": "TooManyRequestsException",
    "quota": "LimitExceededException",
    "paused": "SendingPausedException",
    "suspended": "AccountSuspendedException",
    "reject": "MessageRejected",
    "bad_request": "BadRequestException",
    "error_500": "InternalServiceErrorException",
    "error_503": "ServiceUnavailableException",
    "answer": "TemplateDoesNotExist",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_that_refuse(ses: Any, admin: SandboxAdmin, kind: str) -> None:
    """Faults by address: the named one is refused, the next is not."""
    admin.fault(kind, address="bad@*", **({"code": "TemplateDoesNotExist"} if kind == "answer" else {}))
    with pytest.raises(ClientError) as caught:
        ses.send_email(**mail("bad@mail.example.net"))
    assert caught.value.response["Error"]["Code"] == FAULTS[kind]
    ses.send_email(**mail("good@mail.example.net"))
    assert admin.accepted_count() == 1


@pytest.mark.parametrize(
    ("kind", "accepted", "error"),
    [
        ("drop", 0, ConnectionClosedError),
        ("hang", 0, ReadTimeoutError),
        ("accept_drop", 1, ConnectionClosedError),
        ("accept_hang", 1, ReadTimeoutError),
        ("accept_500", 1, ClientError),
        ("accept_garble", 1, None),
        ("accept_empty", 1, None),
    ],
)
def test_faults_that_lose_the_answer(
    ses: Any, admin: SandboxAdmin, kind: str, accepted: int, error: type | None
) -> None:
    """Accepted or not, the client cannot tell; the record can."""
    admin.fault(kind)
    if error is ReadTimeoutError:
        ses = admin.client(1)
    if error is None:
        assert "MessageId" not in ses.send_email(**mail())
    else:
        with pytest.raises(error):
            ses.send_email(**mail())
    wait_for(lambda: admin.accepted_count() == accepted, "acceptance")


def test_an_acceptance_that_ends_with_the_connection(ses: Any, admin: SandboxAdmin) -> None:
    """No length: boto3 reads on until the close."""
    admin.fault("accept_close", count=1)
    assert ses.send_email(**mail())["MessageId"] == admin.accepted()[0].message_id
    ses.send_email(**mail())
    assert admin.accepted_count() == 2


@pytest.mark.parametrize("name", ["Acme, Inc. <usage@example.com>", "Zoë <usage@example.com>"])
def test_a_senders_name_as_ses_takes_it(ses: Any, admin: SandboxAdmin, name: str) -> None:
    """Refused as it stands, accepted as `mailbox` writes it."""
    with pytest.raises(ses.exceptions.BadRequestException, match="Missing final '@domain'"):
        ses.send_email(**(mail() | {"FromEmailAddress": name}))
    ses.send_email(**(mail() | {"FromEmailAddress": mailbox(name)}))
    assert admin.accepted_count() == 1


async def test_a_configuration_set_that_is_paused(
    ses: Any, admin: SandboxAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SES refuses every mail that names it; a processor does not start, and `doctor` says it."""
    ses.create_configuration_set(ConfigurationSetName="quiet")
    ses.put_configuration_set_sending_options(ConfigurationSetName="quiet", SendingEnabled=False)
    with pytest.raises(ses.exceptions.MessageRejected) as caught:
        ses.send_email(**(mail() | {"ConfigurationSetName": "quiet"}))
    about = caught.value.response["Error"]
    refused = classify(ServiceError(400, about["Code"], about["Message"]))
    assert isinstance(refused, Halt)
    assert (refused.reason, refused.own) == ("sending-paused", False)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", ses.meta.endpoint_url)
    settings = load_settings(from_address="usage@example.com", configuration_set="quiet")
    sender = make_sender(settings)
    with pytest.raises(Halted, match="sending is paused for configuration set 'quiet'"):
        await sender.check_run(settings)
    sender.close()
    said = [finding.found for finding in check_ses(settings)]
    assert "sending is paused for 'quiet'" in said
    ses.put_configuration_set_sending_options(ConfigurationSetName="quiet", SendingEnabled=True)
    ses.send_email(**(mail() | {"ConfigurationSetName": "quiet"}))


@pytest.mark.parametrize(("late", "ahead_s"), [(True, -600), (False, 600)])
def test_the_sandbox_tells_of_a_clock_as_aws_does(late: bool, ahead_s: float) -> None:
    """Both times stand in the text, so that it can be said by how much the clock is off."""
    signed = datetime.now(UTC) + timedelta(seconds=ahead_s)
    text = signature_text(f"{signed:%Y%m%dT%H%M%SZ}", 300, late=late)
    verdict = classify(ServiceError(403, "InvalidSignatureException", text))
    assert isinstance(verdict, SignatureRefused)
    assert verdict.ahead_s is not None
    assert abs(verdict.ahead_s - ahead_s) < 60


def test_faults_by_probability_repeat_with_their_seed(ses: Any, admin: SandboxAdmin) -> None:
    """The same seed strikes the same calls."""

    def strikes() -> list[bool]:
        admin.clear_faults()
        admin.fault("throttle", probability=0.5, seed=7)
        result = []
        for _ in range(20):
            try:
                ses.send_email(**mail())
                result.append(False)
            except ses.exceptions.TooManyRequestsException:
                result.append(True)
        return result

    first = strikes()
    assert 3 < sum(first) < 17
    assert strikes() == first


def test_counted_faults_and_latency(ses: Any, admin: SandboxAdmin) -> None:
    """A fault may strike a number of times; latency only delays."""
    admin.fault("throttle", count=2)
    admin.fault("latency", latency_ms=120)
    for _ in range(2):
        with pytest.raises(ses.exceptions.TooManyRequestsException):
            ses.send_email(**mail())
    ses.send_email(**mail())
    admin.clear_faults()
    admin.fault("latency", latency_ms=5000)
    with pytest.raises(ReadTimeoutError):
        admin.client(0.5).send_email(**mail())
    wait_for(lambda: admin.accepted_count() == 2, "acceptance, before the answer")


def test_the_account_tells_rate_and_rolling_quota(ses: Any, admin: SandboxAdmin) -> None:
    """GetAccount counts what was accepted; the window rolls on."""
    admin.set(quota_window_s=0)
    ses.get_account()  # nothing of earlier tests is in an empty window
    admin.set(max_send_rate=50, max_24_hour_send=3, quota_window_s=86_400)
    for _ in range(3):
        ses.send_email(**mail())
    quota = ses.get_account()["SendQuota"]
    assert quota == {"Max24HourSend": 3, "MaxSendRate": 50, "SentLast24Hours": 3}
    with pytest.raises(ses.exceptions.LimitExceededException, match="Daily message quota exceeded"):
        ses.send_email(**mail())
    admin.set(quota_window_s=0.1)
    wait_for(lambda: ses.get_account()["SendQuota"]["SentLast24Hours"] == 0, "the window's end")
    ses.send_email(**mail())


def test_limits_in_their_own_time() -> None:
    """A second's burst, then the rate; the window of the quota, message by message."""
    settings = SandboxSettings(max_send_rate=10, max_24_hour_send=25, quota_window_s=100)
    limits = Limits(settings)
    for _ in range(10):
        limits.check(1, 1000.0)
        limits.count(1, 1000.0)
    with pytest.raises(SesError, match="rate"):
        limits.check(1, 1000.0)
    limits.check(1, 1000.1)
    limits.count(15, 1050.0)
    with pytest.raises(SesError, match="quota"):
        limits.check(1, 1060.0)
    limits.check(1, 1100.1)
    assert limits.sent_in_window(1100.1) == 15


def test_missing_variables_are_accepted_and_never_delivered(ses: Any, admin: SandboxAdmin, template: str) -> None:
    """As SES does: a MessageId, and only an event tells."""
    assert ses.send_email(**mail(**templated({})))["MessageId"]
    assert admin.accepted()[0].not_delivered.startswith("Rendering Failure")


def test_template_calls(ses: Any, template: str) -> None:
    """Create, get, list, update, delete, TestRender."""
    assert ses.get_email_template(TemplateName="t")["TemplateContent"] == TEMPLATE
    with pytest.raises(ses.exceptions.AlreadyExistsException):
        ses.create_email_template(TemplateName="t", TemplateContent=TEMPLATE)
    ses.update_email_template(TemplateName="t", TemplateContent={"Subject": "New {{x}}", "Text": "y"})
    rendered = ses.test_render_email_template(TemplateName="t", TemplateData='{"x": "1"}')["RenderedTemplate"]
    assert "New 1" in rendered
    with pytest.raises(ses.exceptions.BadRequestException, match="'x'"):
        ses.test_render_email_template(TemplateName="t", TemplateData="{}")
    assert "t" in [entry["TemplateName"] for entry in ses.list_email_templates()["TemplatesMetadata"]]
    ses.delete_email_template(TemplateName="t")
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.get_email_template(TemplateName="t")


def test_a_template_that_cannot_be_filled_in_is_no_fault_of_the_sandbox(ses: Any, admin: SandboxAdmin) -> None:
    """Said when it is created or changed; what would not end is accepted, as SES does, and not delivered."""
    loops = "{{#each l}}{{#each ../l}}{{#each ../../l}}x{{/each}}{{/each}}{{/each}}"
    ses.delete_email_template(TemplateName="t")
    for broken in ("a\n{{#if x}}", "\n{{items.0.n}}"):
        with pytest.raises(
            ses.exceptions.BadRequestException, match="cannot render this template: Text, line 2, column 1: "
        ):
            ses.create_email_template(TemplateName="t", TemplateContent={"Subject": "s", "Text": broken})
    ses.create_email_template(TemplateName="t", TemplateContent={"Subject": "s", "Text": loops})
    with pytest.raises(ses.exceptions.BadRequestException, match="Html, line 1"):
        ses.update_email_template(TemplateName="t", TemplateContent={"Subject": "s", "Html": "{{"})
    assert ses.get_email_template(TemplateName="t")["TemplateContent"]["Text"] == loops
    assert ses.send_email(**mail(**templated({"l": [1] * 300})))["MessageId"]
    assert "more than 100000 members" in admin.accepted()[0].not_delivered
    with pytest.raises(ses.exceptions.BadRequestException, match="more than 100000 members"):
        ses.test_render_email_template(TemplateName="t", TemplateData=json.dumps({"l": [1] * 300}))


def test_suppression_list(ses: Any, admin: SandboxAdmin) -> None:
    """Accepted, a MessageId, not delivered."""
    ses.put_suppressed_destination(EmailAddress="Gone@mail.example.net", Reason="BOUNCE")
    assert (
        ses.get_suppressed_destination(EmailAddress="gone@mail.example.net")["SuppressedDestination"]["Reason"]
        == "BOUNCE"
    )
    listed = ses.list_suppressed_destinations()["SuppressedDestinationSummaries"]
    assert [entry["EmailAddress"] for entry in listed] == ["gone@mail.example.net"]
    ses.send_email(**mail("gone@mail.example.net"))
    assert "suppression" in admin.accepted()[0].not_delivered
    ses.delete_suppressed_destination(EmailAddress="gone@mail.example.net")
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.get_suppressed_destination(EmailAddress="gone@mail.example.net")


def test_identities_and_unknown_calls(ses: Any, admin: SandboxAdmin) -> None:
    """Verified by creation; what is not emulated says so."""
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.get_email_identity(EmailIdentity="new.example.org")
    ses.create_email_identity(EmailIdentity="new.example.org")
    ses.send_email(**mail(FromEmailAddress="Us <a@new.example.org>"))
    with pytest.raises(ClientError, match="does not emulate"):
        ses.list_contact_lists()


@pytest.mark.parametrize(("age_s", "status"), [(290, 200), (310, 403), (-310, 403)])
def test_old_signatures_are_refused(admin: SandboxAdmin, age_s: float, status: int) -> None:
    """SES refuses a signature older than five minutes: what the attempt's lifetime rests on."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - age_s))
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=x",
        "X-Amz-Date": stamp,
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(f"{admin.url}/v2/email/outbound-emails", json.dumps(mail()).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == status
    except urllib.error.HTTPError as error:
        assert error.code == status
        assert error.headers["x-amzn-ErrorType"] == "InvalidSignatureException"
        said = b"Signature expired" if age_s > 0 else b"Signature not yet current"
        assert said in error.read()
    assert admin.accepted_count() == (status == 200)


def test_unsigned_requests_are_refused(admin: SandboxAdmin) -> None:
    """No signature, no mail."""
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{admin.url}/v2/email/account", timeout=60)


def test_the_mailbox_page(ses: Any, admin: SandboxAdmin) -> None:
    """List, search, one message; a stranger's HTML stays in its frame."""
    ses.send_email(**mail("anna@mail.example.net"))
    ses.send_email(**mail("ben@mail.example.net"))

    def get(path: str) -> str:
        with urllib.request.urlopen(admin.url + path, timeout=60) as answer:
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            return str(answer.read().decode())

    assert "anna@" in get("/")
    assert "ben@" in get("/")
    found = get("/?q=ANNA")
    assert "anna@" in found
    assert "ben@" not in found
    one = get("/message/0")
    assert 'srcdoc="&lt;b&gt;t&lt;/b&gt;"' in one
    assert "<b>t</b>" not in one
    assert "<script>" not in get("/?q=%3Cscript%3E")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get("/message/99")


def test_the_record_survives_a_torn_line(tmp_path: Path) -> None:
    """A message torn by a crash was never answered for; the others stand."""
    from infra.ses_sandbox.model import AcceptedMail

    record = Record(tmp_path)
    for n in range(3):
        record.append(AcceptedMail(n=n, at_ms=n, message_id=f"m{n}", sender="s", to=["a"], tags={}, subject=""))
    with record.path.open("ab") as out:
        out.write(b'{"n": 3, "at_ms"')
    again = Record(tmp_path)
    assert len(again) == 3
    last = again.get(2)
    assert last is not None
    assert last.message_id == "m2"
    again.append(AcceptedMail(n=3, at_ms=3, message_id="m3", sender="s", to=["a"], tags={}, subject=""))
    assert [mail.message_id for mail in read_record_file(again.path)] == ["m0", "m1", "m2", "m3"]


def test_events_reach_sqs(stack: Stack, ses: Any, admin: SandboxAdmin) -> None:
    """Send, Delivery, Bounce and Complaint in SES's JSON, doubled, shuffled, in each envelope, and one on demand."""
    stack.up(("sqs",))
    env = stack.env()
    queue, endpoint = env["MAILONCE_EVENTS_QUEUE_URL"], env["AWS_ENDPOINT_URL_SQS"]
    sqs = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1")
    admin.set(
        events_queue_url=queue,
        events_endpoint=endpoint,
        events_duplicate_share=1.0,
        events_shuffle=True,
        events_held=True,
    )
    name = f"events-{time.time_ns()}"
    make_configuration_set(ses, name, ("SEND", "DELIVERY", "BOUNCE", "COMPLAINT"))
    tags = [{"Name": "mailonce_user", "Value": "u"}, {"Name": "mailonce_attempt", "Value": "a"}]
    for address in ("success", "bounce+1", "complaint"):
        ses.send_email(**mail(f"{address}@simulator.amazonses.com", ConfigurationSetName=name, EmailTags=tags))
    for envelope in ("sns", "raw", "eventbridge"):
        admin.set(events_format=envelope)
        if envelope == "sns":
            assert admin.call("POST", "events/flush")["published"] == 14
        else:
            assert admin.call("POST", "events", {"n": 0, "kind": "Delivery"})["published"] == 2
        seen: list[dict[str, Any]] = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                body = json.loads(message["Body"])
                event = json.loads(body["Message"]) if envelope == "sns" else body.get("detail", body)
                assert event["mail"]["tags"]["mailonce_user"] == ["u"]
                seen.append(event)
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        kinds = sorted(event["eventType"] for event in seen)
        assert kinds == (
            ["Bounce"] * 2 + ["Complaint"] * 2 + ["Delivery"] * 4 + ["Send"] * 6
            if envelope == "sns"
            else ["Delivery"] * 2
        )
