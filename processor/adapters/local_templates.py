"""What a job's mail holds, filled in here by Jinja2: what is missing is an error before the call, HTML is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
    UndefinedError,
    nodes,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from processor.adapters.templates import read_templates
from processor.shell.templates import check_line
from schemas.records import Job
from schemas.runtime.errors import BadRecord, Halted, UsageError
from schemas.templates.data import opened
from schemas.templates.names import FILES

__all__ = ["LocalTemplates"]


class LocalTemplates:
    """See `processor.ports.Templates`. By the files in a folder, as `mailonce templates push` takes them."""

    def __init__(self, folder: Path) -> None:
        """Reads all of the folder's templates; raises `UsageError` naming file and line of what cannot be read."""
        self._folder = folder
        environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            autoescape=lambda name: name is not None and name.endswith(".html"),
            finalize=_as_json_writes,
            auto_reload=False,
        )
        try:
            self._templates = {
                name: {part: environment.get_template(f"{name}/{FILES[part]}") for part in parts}
                for name, parts in read_templates(folder).items()
            }
            self._nested = {
                name: frozenset().union(*(_nested(environment, f"{name}/{FILES[part]}") for part in parts))
                for name, parts in self._templates.items()
            }
        except TemplateSyntaxError as error:
            raise UsageError(f"{folder / (error.name or '')}:{error.lineno}: {error.message}") from None
        except TemplateError as error:
            raise UsageError(f"{folder}: {error}") from None

    @property
    def names(self) -> list[str]:
        return sorted(self._templates)

    async def check(self, job: Job) -> None:
        self.render(job)

    def content(self, job: Job) -> dict[str, Any]:
        parts = {part: {"Data": text, "Charset": "UTF-8"} for part, text in self.render(job).items()}
        return {"Simple": {"Subject": parts.pop("Subject"), "Body": parts}}

    def render(self, job: Job) -> dict[str, str]:
        """``Subject``, ``Html`` and ``Text``, as far as the template has them; raises as `check` does."""
        if job.template not in self._templates:
            raise Halted("template-or-configuration-set-missing", f"{self._folder} has no template {job.template!r}")
        data = {
            name: opened(value) if name in self._nested[job.template] else value
            for name, value in job.data.items()
            if value is not None
        }
        found = {}
        for part, template in self._templates[job.template].items():
            try:
                found[part] = template.render(data).strip()
            except UndefinedError as error:
                raise BadRecord("missing-data", f"data: {template.name}: {error.message}") from None
            except Exception as error:  # noqa: BLE001 - a filter may raise anything for one mail's data
                raise BadRecord("rendering-failed", f"data: {template.name}: {error!r}") from None
        check_line(found["Subject"], f"data: {job.template}/{FILES['Subject']}: the subject is filled in")
        return found


def _nested(environment: Environment, file: str) -> frozenset[str]:
    """The names that a file goes into: where they hold the text of a JSON object or list, what it says is meant."""
    assert environment.loader is not None
    tree = environment.parse(environment.loader.get_source(environment, file)[0], file)
    subjects: list[nodes.Node | None] = [node.node for node in tree.find_all(nodes.Getattr)]
    subjects += [node.node for node in tree.find_all(nodes.Getitem)]
    for loop in tree.find_all(nodes.For):
        subject: nodes.Node | None = loop.iter
        while isinstance(subject, nodes.Filter):
            subject = subject.node
        subjects.append(subject)
    return frozenset(node.name for node in subjects if isinstance(node, nodes.Name))


def _as_json_writes(value: Any) -> Any:
    """True and false as SES's templates write them."""
    return str(value).lower() if isinstance(value, bool) else value
