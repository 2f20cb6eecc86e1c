"""`mailonce doctor` on what Gmail and Yahoo ask of bulk senders."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processor.doctor.bulk import check_authentication, check_complaints, check_unsubscribing
from processor.doctor.finding import Finding
from schemas.runtime.settings import load_settings

SIGNED = {"DkimAttributes": {"SigningEnabled": True, "Status": "SUCCESS"}}


def levels(found: Iterable[Finding]) -> dict[str, str]:
    found = list(found)
    assert all(one.todo for one in found if one.level != "fine"), "each with what to do"
    return {one.what: str(one.level) for one in found}


def mail_from(status: str, behavior: str = "USE_DEFAULT_VALUE") -> dict[str, Any]:
    about = {"MailFromDomain": "m.x.de", "MailFromDomainStatus": status, "BehaviorOnMxFailure": behavior}
    return {"MailFromAttributes": about}


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({}, {"mail from": "note"}),
        (SIGNED, {"dkim": "fine", "mail from": "note"}),
        ({"DkimAttributes": {"SigningEnabled": False, "Status": "SUCCESS"}}, {"dkim": "note", "mail from": "note"}),
        ({"DkimAttributes": {"SigningEnabled": True, "Status": "PENDING"}}, {"dkim": "note", "mail from": "note"}),
        (SIGNED | mail_from("SUCCESS"), {"dkim": "fine", "mail from": "fine"}),
        (SIGNED | mail_from("FAILED"), {"dkim": "fine", "mail from": "note"}),
        (SIGNED | mail_from("PENDING", "REJECT_MESSAGE"), {"dkim": "fine", "mail from": "bad"}),
    ],
)
def test_authentication(identity: dict[str, Any], expected: dict[str, str]) -> None:
    """A MAIL FROM domain without its record stops every mail only where the identity says so."""
    assert levels(check_authentication(identity, "x.de")) == expected


def test_each_template_is_looked_at() -> None:
    """One whose mails carry no such header is named."""
    plain = load_settings()
    url = load_settings(unsubscribe_url="https://x.de/u")
    managed = load_settings(contact_list="readers")
    assert levels(check_unsubscribing(url, {"a": managed})) == {"unsubscribing": "fine"}
    (found,) = check_unsubscribing(plain, {"a": url, "bills": plain})
    assert found.level == "note"
    assert "bills" in found.found
    assert "without" not in " ".join(one.found for one in check_unsubscribing(url, {"bills": plain}))


def points(bounces: int, complaints: int, attempts: int = 10_000, days_ago: int = 1) -> list[dict[str, Any]]:
    at = datetime.now(UTC) - timedelta(days=days_ago)
    return [{"Timestamp": at, "DeliveryAttempts": attempts, "Bounces": bounces, "Complaints": complaints}]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], {"complaints": "fine"}),
        (points(500, 500, attempts=999), {"complaints": "fine"}),
        (points(5_000, 5_000, days_ago=20), {"complaints": "fine"}),
        (points(499, 9), {"complaints": "fine", "bounces": "fine"}),
        (points(500, 10), {"complaints": "note", "bounces": "note"}),
        (points(1_000, 30), {"complaints": "bad", "bounces": "bad"}),
        (points(999, 29), {"complaints": "note", "bounces": "note"}),
        (points(0, 40) + points(0, 0), {"complaints": "note", "bounces": "fine"}),
    ],
)
def test_rates(told: list[dict[str, Any]], expected: dict[str, str]) -> None:
    """Of the last days' mails together; of a few mails none."""
    assert levels(check_complaints(told)) == expected
