"""The gate: how large and how deep a record may be, before anything else looks at it.

Whatever Kafka took stands in the topic, and is read by processors, pages and commands. What passes here can be parsed,
walked and written again without an end to the stack or to patience.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from schemas.limits import DEPTH_MAX, PROVENANCE_CHARS_MAX, TEMPLATE_CHARS_MAX
from schemas.records import Job
from schemas.runtime.errors import BadRecord

__all__ = ["check_bytes", "check_lengths", "depth_above"]

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS: Callable[[int], int] = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}.__getitem__


def check_bytes(what: str, raw: bytes, bytes_max: int) -> None:
    """Raises `BadRecord` for what is not even to be parsed: ``record-too-large``, ``record-too-deep``, ``not-json``."""
    if len(raw) > bytes_max:
        raise BadRecord("record-too-large", f"{what} has {len(raw)} bytes; more than {bytes_max} are not read")
    if depth_above(raw, DEPTH_MAX):
        code = "record-too-deep" if raw.rstrip()[-1:] in b"]}" else "not-json"
        raise BadRecord(code, f"{what} is nested deeper than {DEPTH_MAX} levels")


def check_lengths(job: Job) -> None:
    """Raises `BadRecord` (``record-too-large``) for a field that others would have to carry along."""
    if len(job.template) > TEMPLATE_CHARS_MAX:
        raise BadRecord("record-too-large", f"template: {len(job.template)} characters, at most {TEMPLATE_CHARS_MAX}")
    if job.provenance is not None:
        size = max(len(job.provenance.source), len(job.provenance.snapshot))
        if size > PROVENANCE_CHARS_MAX:
            raise BadRecord(
                "record-too-large", f"provenance: a text of {size} characters, at most {PROVENANCE_CHARS_MAX}"
            )


def depth_above(raw: bytes, depth_max: int) -> bool:
    """Whether objects and lists stand more than `depth_max` deep in one another; also of what is no JSON at all."""
    if raw.count(b"{") + raw.count(b"[") <= depth_max:
        return False
    depth = 0
    for byte in _STRING.sub(b"", raw).translate(None, _OTHERS):
        depth += _STEPS(byte)
        if depth > depth_max:
            return True
    return False
