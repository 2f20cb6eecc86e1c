"""The same requests against the npm package aws-ses-v2-local and against the sandbox: what boto3 sees is compared.

Calls that only one of them supports (rates, quotas, suppression, configuration sets) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.sandbox import SandboxAdmin
from tests.support.stand_ins import aws_ses_v2_local

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def other_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with aws_ses_v2_local(tmp_path_factory.mktemp("npm")) as url:
        yield url


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
