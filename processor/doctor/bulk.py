"""What Gmail and Yahoo ask of bulk senders, as far as SES and the settings tell, each with what to do about it.

Their rules (February 2024, for 5,000 mails a day and more): mails are authenticated by SPF and DKIM and aligned for
DMARC, subscribed mail carries RFC 8058's headers, and complaints stay under 0.3 %, better 0.1 %. What DNS alone tells
(DMARC's record, reverse names) is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from processor.doctor.finding import Finding, bad, fine, note
from schemas.runtime.settings import Settings

__all__ = ["check_authentication", "check_complaints", "check_unsubscribing"]

AREA = "ses"
COMPLAINTS_BAD = 0.003
"""Gmail's and Yahoo's bound. SES looks closer from 0.1 % on, and may pause an account at 0.5 %."""
COMPLAINTS_NOTE = 0.001
BOUNCES_NOTE = 0.05
"""From here on SES reviews an account; it may pause it at 10 %."""
BOUNCES_BAD = 0.1
ATTEMPTS_MIN = 1_000
"""Fewer say nothing: one complaint would be a scandal."""
DAYS = 14


def check_authentication(identity: dict[str, Any], name: str) -> Iterator[Finding]:
    """DKIM and MAIL FROM of the sender's identity, as SES holds it."""
    dkim = identity.get("DkimAttributes", {})
    if dkim.get("SigningEnabled") is False:
        yield note(AREA, "dkim", f"{name} is not signed", "SES console, identity, DKIM: enable signing")
    elif (status := dkim.get("Status")) not in {None, "SUCCESS"}:
        todo = "publish the CNAME records that SES shows: Gmail and Yahoo refuse bulk mail without DKIM"
        yield note(AREA, "dkim", f"of {name} is {status}", todo)
    elif status is not None:
        yield fine(AREA, "dkim", f"{name} is signed")
    yield from _mail_from(identity.get("MailFromAttributes") or {}, name)


def _mail_from(about: dict[str, Any], name: str) -> Iterator[Finding]:
    domain, status = about.get("MailFromDomain"), about.get("MailFromDomainStatus")
    if not domain:
        todo = "give the identity a MAIL FROM domain (its MX and SPF records): with amazonses.com's SPF is not aligned"
        yield note(AREA, "mail from", f"{name} has none of its own; DMARC rests on DKIM alone", todo)
    elif status == "SUCCESS":
        yield fine(AREA, "mail from", f"{domain}: SPF is aligned")
    elif about.get("BehaviorOnMxFailure") == "REJECT_MESSAGE":
        yield bad(
            AREA, "mail from", f"{domain} is {status}: SES refuses every mail", "publish the MX record that SES shows"
        )
    else:
        todo = "publish the MX record that SES shows; until then SES uses amazonses.com"
        yield note(AREA, "mail from", f"{domain} is {status}", todo)


def check_unsubscribing(settings: Settings, of_template: dict[str, Settings]) -> Iterator[Finding]:
    """Whether each mail carries List-Unsubscribe for one click (RFC 8058)."""
    every = {"": settings, **of_template}
    without = sorted(name for name, own in every.items() if not (own.unsubscribe_url or own.contact_list))
    if not without:
        yield fine(AREA, "unsubscribing", "every mail carries RFC 8058's headers")
        return
    which = ", ".join(name or "mails without a mail.toml of their own" for name in without)
    todo = "set MAILONCE_UNSUBSCRIBE_URL or MAILONCE_CONTACT_LIST, unless recipients would call it no subscribed mail"
    yield note(AREA, "unsubscribing", f"no List-Unsubscribe headers: {which}", todo)


def check_complaints(points: list[dict[str, Any]]) -> Iterator[Finding]:
    """By GetSendStatistics: what came back of the last days' mails."""
    since = datetime.now(UTC) - timedelta(days=DAYS)
    recent = [one for one in points if one.get("Timestamp", since) >= since]
    attempts, bounces, complaints = (
        sum(int(one.get(name, 0)) for one in recent) for name in ("DeliveryAttempts", "Bounces", "Complaints")
    )
    if attempts < ATTEMPTS_MIN:
        yield fine(AREA, "complaints", f"{attempts:,} mails in {DAYS} days: too few for a rate")
        return
    yield _rate(
        "complaints",
        complaints / attempts,
        (COMPLAINTS_NOTE, COMPLAINTS_BAD),
        "mail only who asked for it, make unsubscribing easy; Gmail tells of its own in Postmaster Tools alone",
    )
    yield _rate(
        "bounces",
        bounces / attempts,
        (BOUNCES_NOTE, BOUNCES_BAD),
        "leave out addresses that bounced: `mailonce evidence`",
    )


def _rate(what: str, share: float, bounds: tuple[float, float], todo: str) -> Finding:
    asked, most = bounds
    told = f"{share:.2%} of the account's mails in {DAYS} days"
    if share < asked:
        return fine(AREA, what, told)
    level = bad if share >= most else note
    return level(AREA, what, f"{told}, {most if share >= most else asked:.1%} or more", todo)
