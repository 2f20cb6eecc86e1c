"""What others may rely on: JSON Schemas and the AsyncAPI document in step with the code, and each version's golden bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from docs.generate import RECORDS
from processor.dashboard.openapi import document
from schemas.codec import decode_attempt, decode_delivery, decode_job, encode
from schemas.records import JOB_VERSION, Delivery, Feedback, Job, Outcome, Provenance, Source
from schemas.runtime.errors import BadRecord
from tests.support.json_schema import jsonschema_without

# Its validators take seconds to import: in one worker only.
pytestmark = pytest.mark.xdist_group("jsonschema")
ROOT = Path(__file__).parents[2]
KEY = b"u-1042:2026-11"
GOLDEN = {
    # Written by version 1. Never change these: bytes like them stand in topics.
    "job": (
        b'{"v":1,"user_id":"u-1042","month":"2026-11","email":"anna@example.com","template":"monthly-usage",'
        b'"data":{"name":"Anna","usage_kwh":"42"},"published_at_ms":1793520000000,'
        b'"provenance":{"source":"usage.csv","snapshot":"sha256:00","row":44}}'
    ),
    "attempt": (
        b'{"attempt":"g1d-f0W3QzuH","intended_at_ms":1793520001000,"instance":"host-1","source":'
        b'{"topic":"email-jobs","partition":4,"offset":7,"timestamp_ms":1793520000000},"fingerprint":"09a1f9c81e"}'
    ),
    "delivery": (
        b'{"outcome":"sent","at_ms":1793520002000,"source":{"topic":"email-jobs","partition":4,"offset":7,'
        b'"timestamp_ms":1793520000000},"instance":"host-1","fingerprint":"09a1f9c81e","attempt":"g1d-f0W3QzuH",'
        b'"message_id":"0100","tries":1,"feedback":"bounced"}'
    ),
}


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "schemas/json" / f"{name}.schema.json").read_text())
    return found


@pytest.mark.parametrize("name", RECORDS)
def test_each_schema_is_a_schema(name: str) -> None:
    """JSON Schema 2020-12."""
    jsonschema = jsonschema_without()  # slow to import, like its friend below: not at every collection
    jsonschema.Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_bytes_fit_their_schema(name: str) -> None:
    """What version 1 wrote is still what the schema says."""
    jsonschema = jsonschema_without()
    jsonschema.validate(json.loads(GOLDEN[name]), schema(name))


def test_golden_bytes_are_read_and_written_as_ever() -> None:
    """A processor of today reads what the first one wrote, to the letter."""
    job = decode_job(KEY, GOLDEN["job"])
    assert job == Job(
        v=1,
        user_id="u-1042",
        month="2026-11",
        email="anna@example.com",
        template="monthly-usage",
        data={"name": "Anna", "usage_kwh": "42"},
        published_at_ms=1793520000000,
        provenance=Provenance("usage.csv", "sha256:00", 44),
    )
    assert encode(job) == GOLDEN["job"]
    assert encode(decode_attempt(GOLDEN["attempt"])) == GOLDEN["attempt"]
    delivery = decode_delivery(GOLDEN["delivery"])
    assert delivery == Delivery(
        outcome=Outcome.SENT,
        at_ms=1793520002000,
        source=Source("email-jobs", 4, 7, 1793520000000),
        instance="host-1",
        fingerprint="09a1f9c81e",
        attempt="g1d-f0W3QzuH",
        message_id="0100",
        tries=1,
        feedback=Feedback.BOUNCED,
    )
    assert encode(delivery) == GOLDEN["delivery"]


def test_a_newer_version_is_refused_by_name() -> None:
    """It goes to the dead letters with a reason that says who must be upgraded; unknown fields of this one do no harm."""
    newer = msgspec.json.decode(GOLDEN["job"]) | {"v": JOB_VERSION + 1, "data": "of another shape"}
    with pytest.raises(BadRecord, match=f"reads version {JOB_VERSION}, the record says {JOB_VERSION + 1}") as refused:
        decode_job(KEY, msgspec.json.encode(newer))
    assert refused.value.code == "unknown-version"
    more = msgspec.json.decode(GOLDEN["job"]) | {"colour": "red"}
    assert decode_job(KEY, msgspec.json.encode(more)).user_id == "u-1042"


def test_the_asyncapi_document_points_at_schemas_that_are_there() -> None:
    """Every topic, every reference."""
    path = ROOT / "docs/asyncapi.json"
    text = path.read_text()
    found = json.loads(text)
    assert found["asyncapi"] == "3.0.0"
    references = [part.split('"')[0] for part in text.split('"$ref": "')[1:]]
    assert references
    for reference in references:
        if reference.startswith("#/"):
            at: Any = found
            for step in reference[2:].split("/"):
                at = at[step]
        else:
            assert (path.parent / reference).resolve().is_file(), reference


def test_the_openapi_document_is_one() -> None:
    """OpenAPI 3.1, by a validator of it."""
    jsonschema_without()
    from openapi_spec_validator import OpenAPIV31SpecValidator

    OpenAPIV31SpecValidator(document()).validate()
