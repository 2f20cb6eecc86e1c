"""Whether SES could take an address at all: a local check of form, before anything is claimed or called."""

from __future__ import annotations

import re

__all__ = ["ADDRESS_CHARS_MAX", "address_problem", "bare_address", "mask"]

ADDRESS_CHARS_MAX = 320
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


def bare_address(text: str) -> str:
    """The address in ``Name <address>``, or `text` itself."""
    return text.rpartition("<")[2].rstrip("> ")


def mask(address: str) -> str:
    """An address as logs may show it: ``an***@example.com``."""
    local, at, domain = address.rpartition("@")
    return f"{local[:2]}***@{domain}" if at else "***"
