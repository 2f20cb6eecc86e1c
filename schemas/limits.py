"""SES's limits that boto3 does not check (botocore's model of SES v2; the developer guide's quotas page)."""

from __future__ import annotations

import re

__all__ = ["TEMPLATE_DATA_BYTES_MAX", "header_problem", "tag_problem"]

TEMPLATE_DATA_BYTES_MAX = 262_144
HEADERS_MAX = 15
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_HEADER_NAME = re.compile(r"[!-9;-@A-~]{1,126}")
_HEADER_VALUE = re.compile(r"[ -~]{1,995}")


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
