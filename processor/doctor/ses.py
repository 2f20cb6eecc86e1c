"""SES and the event feed: would it take our mail, and will it tell what became of it?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from processor.adapters.aws import aws_session
from processor.adapters.local_templates import LocalTemplates
from processor.adapters.mail_options import settings_of_templates
from processor.adapters.ses import is_local, is_unverified
from processor.core.times import too_short
from processor.doctor.bulk import check_authentication, check_complaints, check_unsubscribing
from processor.doctor.finding import Finding, bad, fine, note
from processor.doctor.redis import clock_finding
from schemas.addresses import bare_address
from schemas.kafka.clients import standing_still_s
from schemas.runtime.errors import MailonceError, UsageError
from schemas.runtime.settings import Settings

__all__ = ["check_feed", "check_ses"]

AREA = "ses"
_ONCE = Config(retries={"total_max_attempts": 2, "mode": "standard"}, connect_timeout=5, read_timeout=10)
_NEEDED_EVENTS = {"SEND", "REJECT", "BOUNCE", "COMPLAINT", "RENDERING_FAILURE"}


class SesSilent(MailonceError):
    """SES could not be asked."""

    exit_code = 7


def _asked(call: Callable[[], Any]) -> Any:
    """The answer, or ``None`` for what is not there. Raises `SesSilent`."""
    try:
        return call()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in {"NotFoundException", "404"}:
            return None
        raise SesSilent(f"SES refused to tell: {error}; the role needs the ses:Get* and ses:List* actions") from error
    except BotoCoreError as error:
        raise SesSilent(f"SES does not answer: {error}; check AWS_REGION, credentials and the network") from error


def check_ses(settings: Settings) -> Iterator[Finding]:
    """Raises `SesSilent`."""
    client = _asked(lambda: aws_session().client("sesv2", config=_ONCE))
    account = _asked(client.get_account) or {}
    yield from _account(account)
    yield _lifetime(settings, local=is_local(client))
    yield from _sender(client, settings)
    yield _local_templates(settings) if settings.render == "local" else _kept_templates(client)
    yield from _configuration_set(client, settings)
    yield from check_unsubscribing(settings, settings_of_templates(settings, Path(settings.templates_folder)))
    yield from _complaints(client)


def _complaints(client: Any) -> Iterator[Finding]:
    """Of SES v1, whose place is v2's: v2 tells of rates only where Virtual Deliverability Manager is paid for."""
    try:
        v1 = aws_session().client("ses", config=_ONCE, endpoint_url=client.meta.endpoint_url)
        points = v1.get_send_statistics()["SendDataPoints"]
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        todo = "let the role call ses:GetSendStatistics; a stand-in may not have it"
        yield note(AREA, "complaints", f"SES did not tell of bounces and complaints: {error}", todo)
        return
    yield from check_complaints(points)


def _lifetime(settings: Settings, *, local: bool) -> Finding:
    why = too_short(settings.attempt_lifetime_s, *standing_still_s(settings))
    if why is None:
        return fine(AREA, "lifetime", f"{settings.attempt_lifetime_s:g} s: longer than any late settling")
    if local:
        return note(AREA, "lifetime", why, "nothing beside a stand-in; a processor refuses it with SES itself")
    return bad(AREA, "lifetime", why, "change one of these: a processor refuses to start")


def _kept_templates(client: Any) -> Finding:
    templates = (_asked(lambda: client.list_email_templates(PageSize=10)) or {}).get("TemplatesMetadata", [])
    if templates:
        return fine(AREA, "templates", ", ".join(str(one["TemplateName"]) for one in templates))
    return bad(AREA, "templates", "there is none", "mailonce templates push DIR")


def _local_templates(settings: Settings) -> Finding:
    try:
        names = LocalTemplates(Path(settings.templates_folder)).names
    except UsageError as error:
        return bad(AREA, "templates", str(error), "set MAILONCE_TEMPLATES_FOLDER, or mend the template")
    return fine(AREA, "templates", f"{', '.join(names)}, filled in by the processors")


def _account(account: dict[str, Any]) -> Iterator[Finding]:
    told_at = account.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if told_at:
        yield clock_finding(AREA, time.time() - parsedate_to_datetime(told_at).timestamp())
    if account.get("SendingEnabled") is False:
        yield bad(AREA, "account", "sending is paused", "SES console, account dashboard: why, and resume")
    elif account.get("EnforcementStatus") not in {None, "HEALTHY"}:
        yield bad(
            AREA, "account", f"is {account['EnforcementStatus']}", "answer AWS's case about bounces and complaints"
        )
    elif account.get("ProductionAccessEnabled") is False:
        yield note(
            AREA, "account", "in SES's own sandbox: only verified addresses get mail", "request production access"
        )
    else:
        yield fine(AREA, "account", "may send")
    quota = account.get("SendQuota", {})
    rate, day, used = (float(quota.get(name, -1)) for name in ("MaxSendRate", "Max24HourSend", "SentLast24Hours"))
    told = f"{rate:,.0f} a second, {day - max(used, 0):,.0f} of {day:,.0f} left in 24 h" if day >= 0 else "no quota"
    if 0 <= day <= used:
        yield note(AREA, "quota", told, "sending goes on by itself when the window has room; or ask AWS for more")
    else:
        yield fine(AREA, "quota", told)


def _sender(client: Any, settings: Settings) -> Iterator[Finding]:
    sender = bare_address(settings.from_address)
    if not sender:
        yield bad(AREA, "sender", "MAILONCE_FROM_ADDRESS is not set", "set it to an address that SES knows as verified")
        return
    for name in (sender, sender.rpartition("@")[2]):
        identity = _asked(partial(client.get_email_identity, EmailIdentity=name))
        if identity is not None:
            if is_unverified(identity):
                yield bad(AREA, "sender", f"{name} is not verified", "finish its verification in SES")
            else:
                yield fine(AREA, "sender", f"{name} is verified")
            yield from check_authentication(identity, name)
            return
    yield bad(AREA, "sender", f"SES knows neither {sender} nor its domain", "create and verify the identity")


def _configuration_set(client: Any, settings: Settings) -> Iterator[Finding]:
    name = settings.configuration_set
    if not name:
        yield note(
            AREA,
            "configuration set",
            "MAILONCE_CONFIGURATION_SET is empty: no events, doubt is for people",
            "make one with an event destination",
        )
        return
    asked = _asked(lambda: client.get_configuration_set_event_destinations(ConfigurationSetName=name))
    if asked is None:
        yield bad(
            AREA, "configuration set", f"there is no {name!r}: SES would refuse every mail", "make it, or another"
        )
        return
    options = (_asked(lambda: client.get_configuration_set(ConfigurationSetName=name)) or {}).get("SendingOptions", {})
    if options.get("SendingEnabled") is False:
        yield bad(AREA, "configuration set", f"sending is paused for {name!r}", "SES console: why, and resume")
    enabled = [one for one in asked.get("EventDestinations", []) if one.get("Enabled")]
    told = {event for one in enabled for event in one.get("MatchingEventTypes", [])}
    if missing := sorted(_NEEDED_EVENTS - told):
        yield bad(
            AREA, "event destination", f"does not tell of {', '.join(missing)}", "add them: they are the evidence"
        )
    else:
        yield fine(AREA, "event destination", f"{name} tells of {', '.join(sorted(told)).lower()}")


def check_feed(settings: Settings) -> Iterator[Finding]:
    """The queue that receives SES's events. Raises `SesSilent`."""
    url = settings.events_queue_url
    if not url:
        yield note(
            "events", "queue", "MAILONCE_EVENTS_QUEUE_URL is empty", "name the SQS queue; run `mailonce evidence`"
        )
        return
    try:
        client = aws_session().client("sqs", config=_ONCE)
        found = client.get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "MessageRetentionPeriod"]
        )["Attributes"]
    except (ClientError, BotoCoreError) as error:
        raise SesSilent(f"the queue does not answer: {error}; check MAILONCE_EVENTS_QUEUE_URL") from error
    waiting, kept_s = int(found["ApproximateNumberOfMessages"]), int(found.get("MessageRetentionPeriod", 345_600))
    yield fine("events", "queue", f"{waiting:,} messages wait")
    if kept_s < 4 * 86_400:
        yield note(
            "events", "retention", f"{kept_s / 86_400:.1f} days", "14 days: evidence must survive a long weekend"
        )
