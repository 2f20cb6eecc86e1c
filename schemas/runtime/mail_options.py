"""What SES is told of each mail besides its content: in settings for all mails, in a template's file for its own."""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from schemas.addresses import address_problem, bare_address
from schemas.attachments import attachment_problem
from schemas.limits import header_problem

__all__ = ["AttachmentOption", "MailOptions", "placeholders"]

_OWN = {"bcc", "cc", "content-disposition", "content-type", "date", "from", "message-id", "mime-version", "reply-to"}
_OWN |= {"return-path", "subject", "to", "list-unsubscribe", "list-unsubscribe-post"}
"""Headers that SES or a setting of their own writes."""
_SECRET_CHARS_MIN = 16


ATTACHMENTS_MAX = 20


class AttachmentOption(BaseModel, extra="forbid", frozen=True):
    """A file that goes with each mail. Names in braces are filled in, in `file` and `name`."""

    file: str = Field(min_length=1, max_length=1_000, description="below the folder of attachments")
    name: str = Field("", max_length=255, description="as the recipient sees it; empty: the file's own")
    content_type: str = Field("", description="its MIME type; empty: by the name's ending")
    content_id: str = Field("", description='for an image in HTML, `<img src="cid:ID">`; empty: an attachment')
    optional: bool = Field(False, description="whether a job without the values for its names goes without it")

    @model_validator(mode="after")
    def _one_that_ses_takes(self) -> AttachmentOption:
        placeholders(self.name)
        if self.file.startswith("/") or ".." in self.file.split("/"):
            raise ValueError(f"{self.file!r} leads out of the folder of attachments")
        name = self.name or self.file.rpartition("/")[2]
        if not placeholders(self.file) and (problem := attachment_problem(name, "a/b", self.content_id)):
            raise ValueError(problem)
        if problem := attachment_problem("a.txt", self.content_type or "a/b", self.content_id):
            raise ValueError(problem)
        return self


class MailOptions(BaseModel):
    """Options of SendEmail, by the names of botocore's model where it has one."""

    mail_headers: dict[str, str] = Field(
        {}, description="further headers of each mail, as JSON; {user_id}, {month} and columns are filled in"
    )
    mail_attachments: list[AttachmentOption] = Field(
        [],
        max_length=ATTACHMENTS_MAX,
        description="files that go with each mail, as JSON: names, or objects with file, name, content_type, "
        "content_id, optional; {user_id}, {month} and columns are filled in",
    )
    attachments_folder: str = Field(
        "", description="folder of the attachments; empty: that of the templates, of a template's mail.toml its own"
    )
    unsubscribe_secret: SecretStr = Field(
        SecretStr(""),
        description="key of {token} in the unsubscribe URL: HMAC-SHA256 of the user id; 16 characters or more",
    )
    contact_list: str = Field("", description="SES contact list by which SES itself manages unsubscribing; empty: none")
    contact_topic: str = Field("", description="topic of the contact list; empty: the whole list")
    tenant_name: str = Field("", max_length=64, description="SES tenant that the mails are counted for; empty: none")
    endpoint_id: str = Field("", description="SES multi-region endpoint; needs boto3 with awscrt; empty: none")
    from_identity_arn: str = Field("", description="ARN of another account's identity that the sender uses; empty: own")
    feedback_address: str = Field("", description="where SES forwards bounces and complaints by mail; empty: nowhere")

    @field_validator("mail_attachments", mode="before")
    @classmethod
    def _files(cls, value: Any) -> Any:
        return [{"file": one} if isinstance(one, str) else one for one in value] if isinstance(value, list) else value

    @field_validator("feedback_address")
    @classmethod
    def _an_address_of_feedback(cls, value: str) -> str:
        if value and (problem := address_problem(bare_address(value))):
            raise ValueError(f"not an address SES could use: {problem}")
        return value

    @field_validator("from_identity_arn")
    @classmethod
    def _an_arn(cls, value: str) -> str:
        if value and not re.fullmatch(r"arn:[\w-]+:ses:[\w-]+:\d{12}:identity/\S+", value):
            raise ValueError("must be like arn:aws:ses:REGION:ACCOUNT:identity/NAME")
        return value

    @field_validator("mail_headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if name.lower() in _OWN:
                raise ValueError(f"{name} cannot be set here: it is SES's, or has a setting of its own")
            placeholders(text)
        if problem := header_problem({name: text or " " for name, text in value.items()}):
            raise ValueError(problem)
        return value

    @field_validator("unsubscribe_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < _SECRET_CHARS_MIN:
            raise ValueError(f"must have {_SECRET_CHARS_MIN} characters or more, or it could be guessed")
        return value

    @model_validator(mode="after")
    def _together(self) -> MailOptions:
        url = getattr(self, "unsubscribe_url", "")
        if "{token}" in url and not self.unsubscribe_secret.get_secret_value():
            raise ValueError("unsubscribe_url has {token}: set MAILONCE_UNSUBSCRIBE_SECRET, which signs it")
        if self.contact_topic and not self.contact_list:
            raise ValueError("contact_topic is a topic of a contact list: set MAILONCE_CONTACT_LIST")
        if self.contact_list and url:
            raise ValueError("unsubscribe_url and contact_list exclude each other: SES would replace the headers")
        return self


def placeholders(text: str) -> list[str]:
    """The names in braces; raises ``ValueError`` for what is no plain name."""
    found = [(name, spec, how) for _, name, spec, how in Formatter().parse(text) if name is not None]
    for name, spec, how in found:
        if not name or spec or how or re.search(r"[.\[\]]", name):
            raise ValueError(f"{text!r}: braces hold one name, as in {{user_id}}")
    return [name for name, _, _ in found]
