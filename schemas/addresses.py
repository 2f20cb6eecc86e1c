"""Whether SES could take an address at all: a local check of form, before anything is claimed or called."""

from __future__ import annotations

import re
from email.header import Header
from email.utils import formataddr, unquote

__all__ = ["ADDRESS_CHARS_MAX", "address_problem", "bare_address", "mailbox", "mask", "name_problem"]

ADDRESS_CHARS_MAX = 320
_ENCODED = re.compile(r"=\?[^?\s]+\?[bqBQ]\?[^?\s]*\?=(?:\s+=\?[^?\s]+\?[bqBQ]\?[^?\s]*\?=)*")
_FOLD = "\n "
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
# Nearly every address there is, in one look; the limits below are those of `address_problem`.
_USUAL = re.compile(r"(?!.{65})[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,63}")


def address_problem(address: str) -> str | None:
    """Why `address` cannot be mailed, or ``None``.

    SES wants a 7-bit local part and a punycode domain (SendEmail's documentation of ``Destination``), so other
    characters are a problem of the address, not something to convert silently.
    """
    if _USUAL.fullmatch(address) is not None:
        return None
    local, at, domain = address.rpartition("@")
    if not at:
        return "it has no @"
    if len(address) > ADDRESS_CHARS_MAX or len(local) > 64:
        return "it is too long (64 characters before the @, 320 in all)"
    if _LOCAL.fullmatch(local) is None:
        return "what stands before the @ is empty or holds characters SES does not take"
    if len(domain) > 253 or _DOMAIN.fullmatch(domain) is None:
        return "what follows the @ is not a domain name (international names must be in punycode, xn--…)"
    if domain.rpartition(".")[2].isdigit():
        return "what follows the @ is not a domain name"
    return None


def mailbox(text: str) -> str:
    """``Name <address>`` as SES takes it: the name quoted where it holds a comma and the like, encoded where it is not
    ASCII (RFC 5322, 3.4 and RFC 2047). An address alone, and what is quoted or encoded already, stays as it is."""
    name, address = " ".join(text.rpartition("<")[0].split()), bare_address(text)
    if not name or _ENCODED.fullmatch(name):
        return text
    if name.startswith('"') and name.endswith('"') and len(name) > 1:
        name = unquote(name)
    if name.isascii():
        return formataddr((name, address))
    # Header folds after 75 characters; the JSON of a call has no lines.
    return f"{Header(name, 'utf-8', maxlinelen=75).encode().replace(_FOLD, ' ')} <{address}>"


def name_problem(text: str) -> str | None:
    """Why the name in ``Name <address>`` cannot stand in a mail's head, or ``None``."""
    controls = any((ord(char) < 32 and char != "\t") or ord(char) == 127 for char in text)
    return "a line break or another control character cannot stand in an address" if controls else None


def bare_address(text: str) -> str:
    """The address in ``Name <address>``, or `text` itself."""
    return text.rpartition("<")[2].rstrip("> ")


def mask(address: str) -> str:
    """An address as logs may show it: ``an***@example.com``."""
    local, at, domain = address.rpartition("@")
    return f"{local[:2]}***@{domain}" if at else "***"
