"""Names before addresses, as SES takes them."""

from __future__ import annotations

from email.header import decode_header, make_header
from email.headerregistry import Address
from email.utils import parseaddr

import pytest

from schemas.addresses import mailbox, name_problem

NAMES = {
    "Acme": "Acme",
    "Acme, Inc.": "Acme, Inc.",
    '"Acme, Inc."': "Acme, Inc.",
    "Acme (Support)": "Acme (Support)",
    'A "B" C': 'A "B" C',
    '"A \\"B\\" C"': 'A "B" C',
    "Tab\tand  blanks": "Tab and blanks",
    "Zoë Müller": "Zoë Müller",
    '"Müller, Zoë"': "Müller, Zoë",
    "Ä" * 70: "Ä" * 70,
    "=?utf-8?q?Z=C3=B6?=": "Zö",
    "\U0001f600 team": "\U0001f600 team",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_quoted_or_encoded(name: str) -> None:
    """ASCII, one mailbox, and a reader gets the name that was meant; what was written so is written so again."""
    written = mailbox(f"{name} <a@example.com>")
    assert written.isascii()
    found, address = parseaddr(written)
    assert address == "a@example.com"
    assert str(make_header(decode_header(found))) == NAMES[name]
    assert max(len(word) for word in written.split()) <= 75, "RFC 2047, 2: an encoded word has at most 75 characters"
    assert mailbox(written) == written
    if name.isascii() and not name.startswith("=?"):
        assert written == str(Address(NAMES[name], addr_spec="a@example.com"))


@pytest.mark.parametrize("text", ["a@example.com", "<a@example.com>", ""])
def test_an_address_alone_stays(text: str) -> None:
    """There is nothing to quote."""
    assert mailbox(text) == text


@pytest.mark.parametrize("char", ["\r", "\n", "\x00", "\x7f"])
def test_what_cannot_stand_in_a_head_is_refused(char: str) -> None:
    """Header injection, and what SES calls control characters."""
    assert name_problem(f"A{char}B <a@example.com>")
    assert name_problem("Ä, B <a@example.com>") is None
