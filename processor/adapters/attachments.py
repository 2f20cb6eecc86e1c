"""Attachments from files: named by settings, read right before the call, on a thread.

A job's values may be parts of a file's name. They come from strangers: none of them leads out of the folder.
"""

from __future__ import annotations

import errno
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processor.core.answers import Answer, NotWritten
from processor.core.mail import file_part, filled, lacks
from processor.core.pace import Account
from processor.ports import Forbidden, Sender
from schemas.attachments import MESSAGE_BYTES_MAX, attachment_problem, encoded_bytes
from schemas.records import Job
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import Halted, UsageError
from schemas.runtime.mail_options import AttachmentOption, placeholders
from schemas.runtime.settings import Settings
from schemas.templates.template import Needs

__all__ = ["AttachingSender", "Attachments", "Named", "NoAttachment", "large", "read_all"]

_LARGE_BYTES = 200_000
_SPARE_BYTES = 1_500_000
"""For the mail's text, subject and headers, which are smaller by SES's other limits."""


class NoAttachment(ValueError):
    """One mail's file is not there, or is none that SES takes."""


@dataclass(frozen=True, slots=True)
class Named:
    """A file of one mail; it stands in the request until it is read."""

    folder: Path
    file: str
    """below the folder"""
    name: str
    content_type: str
    content_id: str

    def about(self) -> dict[str, Any]:
        """SES's ``Attachment`` but for what the file holds."""
        about = {
            "FileName": self.name,
            "ContentType": self.content_type,
            "ContentDisposition": "INLINE" if self.content_id else "ATTACHMENT",
        }
        return about | {"ContentId": self.content_id} if self.content_id else about

    def read(self) -> bytes:
        """Raises `NoAttachment` for this file's fault, and `Halted` when the folder is not there or not readable."""
        path = self._path()
        try:
            # Its size first: nobody knows what lies there.
            size = path.stat().st_size
            if encoded_bytes(size) > MESSAGE_BYTES_MAX - _SPARE_BYTES:
                raise NoAttachment(f"attachment {self.file!r}: has {size:,} bytes, more than a mail may have")
            found = path.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise self._missing() from None
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENAMETOOLONG}:
                raise self._no_name() from None
            raise Halted("attachments-unreadable", f"{path}: {error.strerror}") from None
        if not found:
            raise NoAttachment(f"attachment {self.file!r}: is empty")
        return found

    def _path(self) -> Path:
        """Links are followed, and must not lead out of the folder either."""
        try:
            path = (self.folder / self.file).resolve()
        except (OSError, RuntimeError, ValueError):
            raise self._no_name() from None
        if not path.is_relative_to(self.folder.resolve()):
            raise NoAttachment(f"attachment {self.file!r}: leads out of its folder")
        return path

    def _no_name(self) -> NoAttachment:
        return NoAttachment(f"attachment {self.file!r}: is no file's name")

    def _missing(self) -> Exception:
        if not self.folder.is_dir():
            return Halted("attachments-unreadable", f"there is no folder {self.folder}")
        return NoAttachment(f"attachment {self.file!r}: there is no such file in {self.folder}")


class Attachments:
    """What the settings name, for any job."""

    def __init__(self, settings: Settings) -> None:
        """Raises `UsageError` for a folder that is not there, and for a file of all mails that cannot be attached."""
        self._folder = Path(settings.attachments_folder or settings.templates_folder)
        self._options = settings.mail_attachments
        if self._options and not self._folder.is_dir():
            raise UsageError(f"MAILONCE_ATTACHMENTS_FOLDER: there is no folder {self._folder}")
        for option in self._options:
            if not placeholders(option.file) and not placeholders(option.name):
                self._try(option)

    def _try(self, option: AttachmentOption) -> None:
        try:
            self._named(option, option.file, option.name).read()
        except (ValueError, Halted) as why:
            raise UsageError(f"MAILONCE_MAIL_ATTACHMENTS: {why}") from None

    def of(self, job: Job) -> list[Named]:
        """The job's; raises ``ValueError`` for a name that cannot be made of its data."""
        found = []
        for option in self._options:
            if option.optional and lacks(option.file + option.name, job):
                continue
            file, name = (filled(text, job, f"attachment {text}", file_part) for text in (option.file, option.name))
            found.append(self._named(option, file, name))
        return found

    def _named(self, option: AttachmentOption, file: str, name: str) -> Named:
        name = name or Path(file).name
        content_type = option.content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        if problem := attachment_problem(name, content_type, option.content_id):
            raise ValueError(problem)
        return Named(self._folder, file, name, content_type, option.content_id)


def read_all(named: list[Named]) -> list[dict[str, Any]]:
    """SES's ``Attachments``. Raises as `Named.read`."""
    found, size = [], 0
    for one in named:
        content = one.read()
        size += encoded_bytes(len(content))
        if size > MESSAGE_BYTES_MAX - _SPARE_BYTES:
            raise NoAttachment(f"attachments: together more than the {MESSAGE_BYTES_MAX:,} bytes of a mail, in base64")
        found.append({"RawContent": content, **one.about()})
    return found


def large(request: Mapping[str, Any]) -> bool:
    """Whether its attachments are too many bytes to be encoded and signed beside everything else."""
    bodies = request.get("Content", {}).values()
    return sum(len(one["RawContent"]) for body in bodies for one in body.get("Attachments", ())) > _LARGE_BYTES


class AttachingSender:
    """A sender that reads a request's files before it is sent. See `processor.ports.Sender` for the laws."""

    def __init__(self, inner: Sender) -> None:
        self._inner = inner

    async def send(self, request: Mapping[str, Any], forbidden: Forbidden) -> Answer:
        found = [(kind, body) for kind, body in request.get("Content", {}).items() if "Attachments" in body]
        if not found:
            return await self._inner.send(request, forbidden)
        ((kind, body),) = found
        try:
            attachments = await in_thread(read_all, body["Attachments"])
        except NoAttachment as why:
            return NotWritten("attachment", f"data: {why}")
        except Halted as why:
            return NotWritten("attachments", str(why))
        content = {kind: {**body, "Attachments": attachments}}
        return await self._inner.send({**request, "Content": content}, forbidden)

    async def account(self) -> Account:
        return await self._inner.account()

    async def template_needs(self, name: str) -> Needs:
        return await self._inner.template_needs(name)
