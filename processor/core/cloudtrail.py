"""CloudTrail data events of SES as a second proof of acceptance.

Shape: the SES developer guide, "Logging Amazon SES API calls with AWS CloudTrail", example "SendEmail with templated
content": the request's ``emailTags`` in clear, SES's message id in ``additionalEventData.sesMessageId``. A refused call
has an ``errorCode`` and proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from processor.core.arrivals import NOTHING_SAID, kept
from processor.core.evidence import Foreign, SesEvent, tell_of_mail
from schemas.gate import depth_above
from schemas.limits import DEPTH_MAX
from schemas.runtime.errors import BadRecord

__all__ = ["KIND", "read_log"]

KIND = "CloudTrail SendEmail"


def read_log(content: bytes) -> Iterator[SesEvent | Foreign | BadRecord]:
    """What each record of a log file says; raises `BadRecord` (``bad-log``) for what is no log file."""
    if depth_above(content, DEPTH_MAX):
        raise BadRecord("bad-log", f"not a CloudTrail log file: it is nested deeper than {DEPTH_MAX} levels")
    try:
        log = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadRecord("bad-log", f"not a CloudTrail log file: {error}") from None
    records = log.get("Records") if isinstance(log, dict) else None
    if not isinstance(records, list):
        raise BadRecord("bad-log", "not a CloudTrail log file: it has no list `Records`")
    for number, record in enumerate(records):
        try:
            yield _read_record(record)
        except BadRecord as bad:
            yield BadRecord(bad.code, f"Records[{number}]: {bad.detail}")


def _read_record(record: Any) -> SesEvent | Foreign:
    if not isinstance(record, dict):
        raise BadRecord("bad-log", "not a JSON object")
    if record.get("eventSource") != "ses.amazonaws.com" or record.get("eventName") != "SendEmail":
        return Foreign("another call")
    if record.get("errorCode"):
        return Foreign("the call was refused")
    extra, request = record.get("additionalEventData"), record.get("requestParameters")
    message_id = extra.get("sesMessageId") if isinstance(extra, dict) else None
    if not isinstance(message_id, str) or not message_id or not isinstance(request, dict):
        return Foreign("no message id: nothing is proved")
    tags = _tags(request.get("emailTags"))
    timestamp = str(record.get("eventTime", ""))
    return tell_of_mail(KIND, tags, message_id, timestamp, kept(KIND, message_id, timestamp, NOTHING_SAID))


def _tags(entries: object) -> dict[str, str]:
    if not isinstance(entries, list):
        return {}
    pairs = [(entry.get("name"), entry.get("value")) for entry in entries if isinstance(entry, dict)]
    return {name: value for name, value in pairs if isinstance(name, str) and isinstance(value, str)}
