"""What a job's mail holds, by the templates that SES keeps: filled in after the call, so checked before it."""

from __future__ import annotations

import re
from typing import Any

from processor.core.mail import template_content
from processor.ports import Sender
from schemas.records import Job
from schemas.runtime.errors import BadRecord
from schemas.templates.template import Needs, missing_variables

__all__ = ["SesTemplates", "check_line", "check_needs"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class SesTemplates:
    """See `processor.ports.Templates`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._twin: dict[str, bool] = {}

    async def check(self, job: Job) -> None:
        needs = await self._sender.template_needs(job.template)
        self._twin[job.template] = needs.twin
        check_needs(job, needs)

    def content(self, job: Job) -> dict[str, Any]:
        return template_content(job, twin=self._twin.get(job.template, False))


def check_needs(job: Job, needs: Needs) -> None:
    """Raises `BadRecord` for a job whose data the template cannot be filled in with."""
    if missing := missing_variables(needs.names, job.data):
        raise BadRecord(
            "missing-data", f"data: template {job.template!r} needs {', '.join(missing)}, which the job lacks"
        )
    for name in sorted(needs.in_subject):
        check_line(str(job.data[name]), f"data: {name} stands in the subject")


def check_line(text: str, what: str) -> None:
    """Raises `BadRecord` for a text that would be more than one line of a mail's head."""
    if _CONTROL.search(text):
        raise BadRecord("bad-subject", f"{what} and holds a line break or another control character")
