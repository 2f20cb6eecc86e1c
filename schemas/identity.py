"""The only place where a key is made or read.

A key is ``user_id:YYYY-MM``. User ids may hold any characters, colons included: the month is what follows the
last colon. SES message tags allow only ``[A-Za-z0-9_-]``, so a user id with other characters travels as base64url.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from functools import lru_cache

import msgspec

from schemas.limits import KEY_BYTES_MAX, USER_ID_BYTES_MAX
from schemas.runtime.errors import BadRecord

__all__ = [
    "NO_PLACE",
    "TAG_ATTEMPT",
    "TAG_ENCODING",
    "TAG_INSTALLATION",
    "TAG_MONTH",
    "TAG_SOURCE",
    "TAG_USER",
    "Key",
    "Place",
    "check_month",
    "message_tags",
    "months_later",
    "new_attempt_id",
    "read_place",
    "read_tags",
]

TAG_USER = "mailonce_user"
TAG_MONTH = "mailonce_month"
TAG_ATTEMPT = "mailonce_attempt"
TAG_ENCODING = "mailonce_encoding"
"""Present (``base64url``) only when the user id had to be encoded, so that decoding is never a guess."""

TAG_SOURCE = "mailonce_source"
"""``partition-offset-fingerprint`` of the job, so that SES's events lead back to the record itself."""

TAG_INSTALLATION = "mailonce_installation"
"""Whose mail it is: events of another installation's prove nothing here. 0.1 wrote none."""

_MONTH = re.compile(r"(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])")
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,256}")


@lru_cache(maxsize=256)
def check_month(text: str) -> str:
    """`text` if it is a month written ``YYYY-MM``; raises ``ValueError`` otherwise."""
    if _MONTH.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a month: write it as YYYY-MM, for example 2026-11")
    return text


def months_later(month: str, count: int) -> str:
    """The month so many after a ``YYYY-MM``; before it where `count` is negative."""
    year, number = map(int, month.split("-"))
    ordinal = year * 12 + number - 1 + count
    return f"{ordinal // 12:04}-{ordinal % 12 + 1:02}"


class Key(msgspec.Struct, frozen=True, order=True, gc=False):
    """One user's one month: what mailonce sends at most once."""

    user_id: str
    month: str

    def __post_init__(self) -> None:
        check_month(self.month)
        size = len(self.user_id)
        if not self.user_id.isascii():
            size = len(self.user_id.encode("utf-8", "surrogatepass"))
        if not 1 <= size <= USER_ID_BYTES_MAX:
            raise ValueError(f"user_id must be 1 to {USER_ID_BYTES_MAX} bytes long, this one has {size}")

    def __str__(self) -> str:
        return f"{self.user_id}:{self.month}"

    def to_bytes(self) -> bytes:
        return str(self).encode()

    @classmethod
    def from_bytes(cls, raw: bytes | None) -> Key:
        """The key of a record; raises `BadRecord` (``bad-key``) when it is none."""
        if raw is None:
            raise BadRecord("bad-key", "the record has no key; expected user_id:YYYY-MM")
        if len(raw) > KEY_BYTES_MAX:
            raise BadRecord("bad-key", f"the record's key has {len(raw)} bytes; user_id:YYYY-MM has {KEY_BYTES_MAX}")
        try:
            user_id, colon, month = raw.decode().rpartition(":")
            if not colon:
                raise ValueError("no colon in it; expected user_id:YYYY-MM")
            return cls(user_id, month)
        except ValueError as error:
            raise BadRecord("bad-key", f"the record's key is not user_id:YYYY-MM: {error}") from None


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where in the jobs topic a mail's job stands, and the fingerprint of its content."""

    partition: int = -1
    offset: int = -1
    fingerprint: str = ""

    def to_tag(self) -> str:
        return f"{self.partition}-{self.offset}-{self.fingerprint}"


NO_PLACE = Place()
_PLACE = re.compile(r"([0-9]{1,9})-([0-9]{1,18})-([0-9a-f]{0,64})")


def read_place(tags: dict[str, str]) -> Place:
    """The job's place from a message's tags; an unknown one where they do not tell."""
    found = _PLACE.fullmatch(tags.get(TAG_SOURCE, ""))
    return Place(int(found[1]), int(found[2]), found[3]) if found else NO_PLACE


def new_attempt_id() -> str:
    """A fresh attempt id: 72 random bits, safe in a tag and in a Redis value."""
    return secrets.token_urlsafe(9)


def message_tags(key: Key, attempt: str, installation: str = "") -> dict[str, str]:
    """The tags every message carries, so that SES's events name the mail they belong to, and whose it is."""
    tags = {TAG_USER: key.user_id, TAG_MONTH: key.month, TAG_ATTEMPT: attempt}
    if _PLAIN.fullmatch(key.user_id) is None:
        encoded = base64.urlsafe_b64encode(key.user_id.encode()).rstrip(b"=").decode()
        tags |= {TAG_USER: encoded, TAG_ENCODING: "base64url"}
    return tags | {TAG_INSTALLATION: installation} if installation else tags


def read_tags(tags: dict[str, str]) -> tuple[Key, str] | None:
    """Key and attempt from a message's tags, or ``None`` when the message is not ours."""
    try:
        user, month, attempt = tags[TAG_USER], tags[TAG_MONTH], tags[TAG_ATTEMPT]
        if tags.get(TAG_ENCODING) == "base64url":
            user = base64.b64decode(user + "=" * (-len(user) % 4), altchars=b"-_", validate=True).decode()
        return Key(user, month), attempt
    except (KeyError, ValueError, binascii.Error):
        return None
