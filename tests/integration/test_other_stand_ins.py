"""The same month, and the same calls, against stand-ins for SES that are not ours: aws-ses-v2-local and moto.

docs/stand-ins.md has what each says differently; the tables there are those here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.sandbox import SandboxAdmin
from tests.support.stand_ins import aws_ses_v2_local, look, moto
from tests.support.world import ROOT, World, job

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("stand-ins")]

PAGE = ROOT / "docs/stand-ins.md"
KEYS: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
NAMES = ("sandbox", "aws-ses-v2-local", "moto")


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory, sandbox: SandboxAdmin) -> Iterator[dict[str, str]]:
    with aws_ses_v2_local(tmp_path_factory.mktemp("npm")) as local, moto() as motos:
        boto3.client("sesv2", endpoint_url=motos, **KEYS).create_email_identity(EmailIdentity="example.com")
        yield {"sandbox": sandbox.url, "aws-ses-v2-local": local, "moto": motos}


# ---- a month ----


def received(name: str, url: str, sandbox: SandboxAdmin) -> list[tuple[str, str]]:
    """(recipient, subject) of all that it took, by its own record."""
    match name:
        case "sandbox":
            return sorted((mail.to[0], mail.subject) for mail in sandbox.accepted())
        case "moto":
            messages = look(url, "moto-api/data.json")["ses"]["Message"]
            return sorted((one["destinations"]["ToAddresses"][0], one["subject"]) for one in messages)
    return sorted((one["destination"]["to"][0], one["subject"]) for one in look(url, "store")["emails"])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_month_ends_alike(name: str, urls: dict[str, str], world: World, sandbox: SandboxAdmin) -> None:
    """Each mail once by the other's record; what cannot be made is a dead letter without a call."""
    url = urls[name]
    folder = world.folder / "templates/monthly-usage"
    folder.mkdir(parents=True)
    (folder / "subject.txt").write_text("Hello {{ name }}")
    (folder / "body.txt").write_text("{{ usage }} kWh")
    before = received(name, url, sandbox)
    world.publish(job(f"u{n}") for n in range(30))
    world.publish([job("lacks", usage=None), job("bad", email="nobody")])
    world.drain(
        AWS_ENDPOINT_URL_SESV2=url,
        MAILONCE_FROM_ADDRESS="usage@example.com",
        MAILONCE_RENDER="local",
        MAILONCE_TEMPLATES_FOLDER=str(folder.parent),
    )
    took = received(name, url, sandbox)
    for one in before:
        took.remove(one)
    assert took == sorted((f"u{n}@mail.example.net", f"Hello User u{n}") for n in range(30))
    assert sorted(letter.reason for _, letter in world.dead_letters()) == ["bad-address", "missing-data"]
    outcomes = {key.user_id: entries[-1].outcome.value for key, entries in world.deliveries().items()}
    assert outcomes == {f"u{n}": "sent" for n in range(30)} | {"lacks": "dead", "bad": "dead"}


# ---- calls ----

BODY = {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}
EXE = {"RawContent": b"x", "FileName": "a.exe"}
NONE = {"ContactListName": "none"}


def mail(content: dict[str, Any] | None = None, to: str = "a@mail.example.net", **more: Any) -> dict[str, Any]:
    return {
        "FromEmailAddress": "usage@example.com",
        "Destination": {"ToAddresses": [to]},
        "Content": content or {"Simple": BODY},
        **more,
    }


TEMPLATE = {"Template": {"TemplateName": "no-such", "TemplateData": "{}"}}
HEADERS = [{"Name": f"X-{n}", "Value": "1"} for n in range(16)]
Call = Callable[[Any], Any]
CALLS: dict[str, Call] = {
    "a mail": lambda c: c.send_email(**mail()),
    "a stranger's sender": lambda c: c.send_email(**mail() | {"FromEmailAddress": "x@stranger.example.org"}),
    "an address without @": lambda c: c.send_email(**mail(to="nobody")),
    "a template that is not there": lambda c: c.send_email(**mail(TEMPLATE)),
    "a configuration set that is not there": lambda c: c.send_email(**mail(ConfigurationSetName="none")),
    "a tenant that is not there": lambda c: c.send_email(**mail(TenantName="none")),
    "a contact list that is not there": lambda c: c.send_email(**mail(ListManagementOptions=NONE)),
    "16 headers": lambda c: c.send_email(**mail({"Simple": {**BODY, "Headers": HEADERS}})),
    "an attachment a.exe": lambda c: c.send_email(**mail({"Simple": {**BODY, "Attachments": [EXE]}})),
    "a tag with a space": lambda c: c.send_email(**mail(EmailTags=[{"Name": "a", "Value": "b c"}])),
    "GetEmailTemplate of none": lambda c: c.get_email_template(TemplateName="no-such"),
    "GetAccount": lambda c: c.get_account(),
    "ListSuppressedDestinations": lambda c: c.list_suppressed_destinations(),
    "GetConfigurationSet of none": lambda c: c.get_configuration_set(ConfigurationSetName="none"),
    "GetEmailIdentity of none": lambda c: c.get_email_identity(EmailIdentity="none.example.org"),
}


def said(url: str, call: Call) -> str:
    """The status, and the code that boto3 makes out."""
    config = Config(retries={"total_max_attempts": 1})
    try:
        call(boto3.client("sesv2", endpoint_url=url, config=config, **KEYS))
    except ClientError as error:
        return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}"
    return "200"


@pytest.mark.parametrize("what", CALLS)
def test_what_each_says_is_on_the_page(what: str, urls: dict[str, str], sandbox: SandboxAdmin) -> None:
    """docs/stand-ins.md tells it as it is: whoever tries mailonce against another stand-in knows what that proves."""
    sandbox.reset()
    row = f"| {what} | {' | '.join(said(urls[name], CALLS[what]) for name in NAMES)} |"
    assert row in PAGE.read_text().splitlines(), row
