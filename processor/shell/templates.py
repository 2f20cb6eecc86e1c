"""What a job's mail holds, by the templates that SES keeps: filled in after the call, so checked before it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from processor.core.mail import template_content
from processor.ports import Sender
from schemas.records import Job
from schemas.runtime.errors import BadRecord
from schemas.templates.data import AS_IT_IS, Form
from schemas.templates.handlebars import NotFilledIn
from schemas.templates.template import Needs

__all__ = ["SesTemplates", "check_line", "check_needs"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class SesTemplates:
    """See `processor.ports.Templates`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._forms: dict[str, Form] = {}

    async def check(self, job: Job) -> None:
        needs = await self._sender.template_needs(job.template)
        self._forms[job.template] = needs.form
        check_needs(job, needs)

    def content(self, job: Job) -> dict[str, Any]:
        return template_content(job, self._forms.get(job.template, AS_IT_IS))


def check_needs(job: Job, needs: Needs) -> None:
    """Raises `BadRecord` for a job whose data the template cannot be filled in with."""
    try:
        judged = needs.judge(job.data)
    except NotFilledIn as why:
        raise BadRecord("rendering-failed", f"data: template {job.template!r}: {why}") from None
    if judged.lacking:
        missing = ", ".join(dict.fromkeys(map(str, judged.lacking)))
        places = ", ".join(dict.fromkeys(one.where for one in judged.lacking if one.where))
        where = f" ({places})" if places else ""
        raise BadRecord("missing-data", f"data: template {job.template!r} needs {missing}, which the job lacks{where}")
    for path, value in judged.in_subject:
        for text in _texts(value):
            check_line(text, f"data: {path} stands in the subject")


def _texts(value: Any) -> Iterator[str]:
    """All that a value prints."""
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    else:
        yield str(value)


def check_line(text: str, what: str) -> None:
    """Raises `BadRecord` for a text that would be more than one line of a mail's head."""
    if _CONTROL.search(text):
        raise BadRecord("bad-subject", f"{what} and holds a line break or another control character")
