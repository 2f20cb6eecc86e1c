"""The same requests against the npm package aws-ses-v2-local and against the sandbox: what boto3 sees is compared.

Calls that only one of them supports (rates, quotas, suppression, configuration sets) are left out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.embedded.service import free_port
from tests.support.sandbox import SandboxAdmin
from tests.support.world import WAIT_S, wait_for

PACKAGE = "aws-ses-v2-local@2.10.2"
# Theirs answers GetAccount with what it is given, in full.
ACCOUNT = {
    "DedicatedIpAutoWarmupEnabled": False,
    "Details": {
        "AdditionalContactEmailAddresses": [],
        "ContactLanguage": "EN",
        "MailType": "TRANSACTIONAL",
        "ReviewDetails": {"CaseId": "1", "Status": "GRANTED"},
        "UseCaseDescription": "x",
        "WebsiteURL": "https://example.com",
    },
    "EnforcementStatus": "HEALTHY",
    "ProductionAccessEnabled": True,
    "SendingEnabled": True,
    "SendQuota": {"Max24HourSend": 5, "MaxSendRate": 1, "SentLast24Hours": 0},
    "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE"]},
}

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def other_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node and npm are not on this machine")
    folder: Path = tmp_path_factory.mktemp("npm")
    install = [npm, "install", "--no-fund", "--no-audit", "--prefix", str(folder), PACKAGE]
    done = subprocess.run(install, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"{PACKAGE} could not be installed: {done.stderr[-200:]}")
    port = free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(folder / "node_modules/.bin/aws-ses-v2-local"), "--port", str(port), "--host", "127.0.0.1"],
            stdout=log,
            stderr=log,
            env={"PATH": str(Path(node).parent) + ":/usr/bin:/bin", "AWS_SES_ACCOUNT": json.dumps(ACCOUNT)},
        )
    url = f"http://localhost:{port}"

    def ready() -> bool:
        try:
            return bool(urllib.request.urlopen(f"{url}/health-check", timeout=60).status == 200)
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_for(ready, "aws-ses-v2-local")
        yield url
    finally:
        server.terminate()
        server.wait(WAIT_S)


def client(url: str) -> Any:
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client("sesv2", endpoint_url=url, region_name="us-east-1", config=config)


def seen(call: Callable[[Any], dict[str, Any]], ses: Any) -> dict[str, Any]:
    """A call as boto3's user sees it: fields with their types, or the status of the error."""
    try:
        answer = call(ses)
    except ClientError as error:
        return {"error": error.response["ResponseMetadata"]["HTTPStatusCode"]}
    return {name: type(value).__name__ for name, value in answer.items() if name != "ResponseMetadata"}


SIMPLE = {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}}
TEMPLATE = {"Subject": "Hi {{name}}", "Text": "{{#if plan}}{{plan}}{{else}}none{{/if}}", "Html": "<p>{{name}}</p>"}


def mail(content: dict[str, Any]) -> dict[str, Any]:
    return {
        "FromEmailAddress": "usage@example.com",
        "Destination": {"ToAddresses": ["a@mail.example.net"]},
        "Content": content,
        "EmailTags": [{"Name": "k", "Value": "v"}],
    }


def stored(name: str, data: str) -> dict[str, Any]:
    return {"Template": {"TemplateName": name, "TemplateData": data}}


CALLS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "send simple": lambda c: c.send_email(**mail(SIMPLE)),
    "create template": lambda c: c.create_email_template(TemplateName="cmp", TemplateContent=TEMPLATE),
    "send template": lambda c: c.send_email(**mail(stored("cmp", '{"name": "N"}'))),
    "get template": lambda c: c.get_email_template(TemplateName="cmp"),
    "list templates": lambda c: c.list_email_templates(),
    "render template": lambda c: c.test_render_email_template(TemplateName="cmp", TemplateData='{"name": "N"}'),
    "update template": lambda c: c.update_email_template(
        TemplateName="cmp", TemplateContent={"Subject": "x", "Text": "y"}
    ),
    "delete template": lambda c: c.delete_email_template(TemplateName="cmp"),
    "get a deleted template": lambda c: c.get_email_template(TemplateName="cmp"),
}


def test_both_look_alike_to_boto3(other_url: str, sandbox: SandboxAdmin) -> None:
    """The sandbox is no private dialect: another implementation of SES v2 gives boto3 the same."""
    sandbox.reset()
    client(sandbox.url).delete_email_template(TemplateName="cmp")
    for name, call in CALLS.items():
        ours, theirs = (seen(call, client(url)) for url in (sandbox.url, other_url))
        assert ours == theirs, f"{name}: the sandbox gives {ours}, aws-ses-v2-local gives {theirs}"


def test_the_account_has_the_same_fields(other_url: str, sandbox: SandboxAdmin) -> None:
    """GetAccount: theirs is static, ours counts; the fields are the same (ours tells no contact details)."""
    ours, theirs = (client(url).get_account() for url in (sandbox.url, other_url))
    assert set(ours) == set(theirs) - {"Details"}
    assert set(ours["SendQuota"]) == set(theirs["SendQuota"])
