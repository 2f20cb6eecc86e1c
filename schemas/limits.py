"""Limits: SES's that boto3 does not check (botocore's model of SES v2; the developer guide's quotas page), and ours.

Ours are for what stands in the topics. Kafka lets nearly anything in, and whoever reads it must not be brought down.
"""

from __future__ import annotations

import re

__all__ = [
    "DEPTH_MAX",
    "DETAIL_CHARS_MAX",
    "HEADER_BYTES_MAX",
    "JOB_BYTES_MAX",
    "KEY_BYTES_MAX",
    "PROVENANCE_CHARS_MAX",
    "TEMPLATE_CHARS_MAX",
    "TEMPLATE_DATA_BYTES_MAX",
    "USER_ID_BYTES_MAX",
    "header_problem",
    "shortened",
    "tag_problem",
]

TEMPLATE_DATA_BYTES_MAX = 262_144
USER_ID_BYTES_MAX = 192
"""base64url of 192 bytes is 256 characters: the longest tag value SES takes."""
KEY_BYTES_MAX = USER_ID_BYTES_MAX + len(":2026-11")
JOB_BYTES_MAX = 2_000_000
"""More than any job whose data SES takes, were every character of it an escape of six bytes."""
DEPTH_MAX = 100
"""Objects and lists inside one another. Python gives up at a thousand calls, some of which are ours."""
TEMPLATE_CHARS_MAX = 256
PROVENANCE_CHARS_MAX = 2_000
HEADER_BYTES_MAX = 16_384
"""Of a header that is read: what it says goes into other records, which must fit as well."""
DETAIL_CHARS_MAX = 1_000
"""Of a sentence about a record: it goes into the ledger, a header, logs and pages."""
HEADERS_MAX = 15
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_HEADER_NAME = re.compile(r"[!-9;-@A-~]{1,126}")
_HEADER_VALUE = re.compile(r"[ -~]{1,995}")


def shortened(text: str, chars_max: int = DETAIL_CHARS_MAX) -> str:
    """A text as it is, or its beginning."""
    return text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"


def tag_problem(tags: dict[str, str]) -> str | None:
    """Why SES would refuse these message tags, or ``None``."""
    for name, value in tags.items():
        if _TAG.fullmatch(name) is None or _TAG.fullmatch(value) is None:
            return f"tag {name!r}: names and values are 1 to 256 letters, digits, _ or -"
    return None


def header_problem(headers: dict[str, str]) -> str | None:
    """Why SES would refuse these additional headers, or ``None``."""
    if len(headers) > HEADERS_MAX:
        return f"{len(headers)} headers: SES takes at most {HEADERS_MAX}"
    for name, value in headers.items():
        if _HEADER_NAME.fullmatch(name) is None:
            return f"header {name!r}: not a header name SES takes"
        if _HEADER_VALUE.fullmatch(value) is None or len(name) + len(value) > 996:
            return f"header {name!r}: its value must be printable ASCII, 996 characters with the name"
    return None
