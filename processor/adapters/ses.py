"""SES through boto3: one request a call, never repeated by the client; answers as values.

botocore's own retries re-send after a lost response, so the sending client has one total attempt, asserted here. A
second client with ordinary retries serves the reads, which may be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
    TokenRetrievalError,
    UnknownEndpointError,
)

from processor.adapters.aws import aws_session
from processor.core.answer_codes import RATE_CODES
from processor.core.answers import Accepted, Answer, NotWritten, ServiceError, Unanswered
from processor.core.pace import Account
from processor.ports import Forbidden
from schemas.addresses import bare_address
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import Halted, SesAway, UsageError
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings
from schemas.templates.template import Needs

__all__ = ["BotoSender", "MayNotLeave", "answer_of_exception", "answer_of_response", "is_unverified"]

log = get_log()

TEMPLATE_TTL_S = 300.0
ASK_AGAIN_S = 5.0
"""After SES did not answer: nobody asks for a template before."""

_UNREACHABLE = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    ProfileNotFound,
    NoRegionError,
    UnknownEndpointError,
)


_UNTRUSTED = re.compile(r"certificate verify failed|hostname '.*' doesn't match|IP address mismatch", re.IGNORECASE)
"""OpenSSL's words and urllib3's own, for a certificate that was looked at before anything was written."""


class MayNotLeave(Exception):
    """The request was signed and must not leave: nothing was written."""


def answer_of_response(response: Mapping[str, Any]) -> Answer:
    """boto3's return value as an answer. It returns without an exception for a 200 it could not read."""
    message_id = response.get("MessageId")
    if isinstance(message_id, str) and message_id:
        return Accepted(message_id)
    return Unanswered("no-message-id", "HTTP 200 without a MessageId")


def answer_of_exception(error: BaseException) -> Answer:
    """An exception of boto3's as an answer. Whatever is not listed may have been sent."""
    match error:
        case MayNotLeave():
            return NotWritten("forbidden", str(error))
        case ClientError():
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            about = error.response.get("Error", {})
            return ServiceError(status, str(about.get("Code", "")), str(about.get("Message", "")))
        case _ if isinstance(error, _UNREACHABLE):
            return NotWritten("unreachable", str(error))
        case _ if isinstance(error, _CREDENTIALS):
            return NotWritten("credentials", str(error))
        case ParamValidationError():
            return NotWritten("parameters", str(error))
        case SSLError() if _UNTRUSTED.search(str(error)):
            return NotWritten("certificate", str(error))
        case _:
            return Unanswered(type(error).__name__, str(error)[:300])


def is_local(client: Any) -> bool:
    """Whether a boto3 client calls a stand-in on this machine."""
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def is_unverified(identity: Mapping[str, Any]) -> bool:
    """Whether GetEmailIdentity says that nothing can be sent from it. Moto sets one of SES's two fields alone."""
    return identity.get("VerifiedForSendingStatus") is False and identity.get("VerificationStatus") != "SUCCESS"


def _answers_nobody(status: int, code: str) -> bool:
    """Whether an error says nothing of what was asked. A stand-in that lacks a call says 404, 501 or a bare 500."""
    return (status > 501) or (status == 500 and code != "500") or status == 429 or code in RATE_CODES


class BotoSender:
    """See `processor.ports.Sender` for the laws. Calls run on threads, `calls_at_once` of them."""

    def __init__(self, settings: Settings) -> None:
        calls = settings.calls_at_once
        self._threads = ThreadPoolExecutor(calls, thread_name_prefix="ses")
        once = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=settings.ses_connect_timeout_s,
            read_timeout=settings.ses_read_timeout_s,
            max_pool_connections=calls,
            tcp_keepalive=True,
        )
        patient = Config(retries={"total_max_attempts": 4, "mode": "standard"}, connect_timeout=5, read_timeout=10)
        try:
            self._session = aws_session()
            self._client = self._session.client("sesv2", config=once)
            self._reader = self._session.client("sesv2", config=patient)
        except BotoCoreError as error:
            raise UsageError(f"boto3 cannot make an SES client: {error}; set AWS_REGION and credentials") from None
        attempts = self._client.meta.config.retries["total_max_attempts"]  # type: ignore[attr-defined]
        assert attempts == 1, "a second attempt could be a second mail"
        self._asked = threading.local()
        # After signing: if the process is stopped from here on, the signature grows too old and SES refuses it.
        self._client.meta.events.register("before-send.sesv2.SendEmail", self._ask_whether_it_may)
        self._templates: dict[str, tuple[float, Needs]] = {}
        self._away_s = float("-inf")
        self._account = Account()
        self._warned: set[str] = set()

    def _ask_whether_it_may(self, **_kwargs: Any) -> None:
        if why := self._asked.forbidden():
            raise MayNotLeave(why)

    async def send(self, request: Mapping[str, Any], forbidden: Forbidden) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._send, request, forbidden)

    def _send(self, request: Mapping[str, Any], forbidden: Forbidden) -> Answer:
        self._asked.forbidden = forbidden
        try:
            return answer_of_response(self._client.send_email(**request))
        except Exception as error:  # noqa: BLE001 - every exception is an answer, an unlisted one is uncertain
            return answer_of_exception(error)

    async def account(self) -> Account:
        found = await self._ask("get_account")
        if found is None:
            # SES is away, or a stand-in does not tell: what it said last is the best there is.
            return self._account
        quota = found.get("SendQuota", {})
        self._account = Account(
            max_send_rate=float(quota.get("MaxSendRate", -1)),
            max_24_hour_send=float(quota.get("Max24HourSend", -1)),
            sent_last_24_hours=float(quota.get("SentLast24Hours", 0)),
            sending_enabled=bool(found.get("SendingEnabled", True)),
            production=bool(found.get("ProductionAccessEnabled", True)),
        )
        return self._account

    async def template_needs(self, name: str) -> Needs:
        read_at, needed = self._templates.get(name, (float("-inf"), None))
        if needed is not None and time.monotonic() - read_at < TEMPLATE_TTL_S:
            return needed
        try:
            needed = await self._needs(name)
        except SesAway:
            # What it said before is the best there is. Of a template that was never seen nothing is known.
            if needed is None:
                raise
        self._templates[name] = (time.monotonic(), needed)
        return needed

    async def _needs(self, name: str) -> Needs:
        """What SES says now. Raises `SesAway` at once for a while after it did not answer."""
        if time.monotonic() - self._away_s < ASK_AGAIN_S:
            raise SesAway(f"SES did not tell what template {name!r} needs a moment ago")
        missing = f"SES has no template {name!r}"
        try:
            found = await self._ask(
                "get_email_template", missing_halts=missing, TemplateName=name, silence_matters=True
            )
        except SesAway:
            self._away_s = time.monotonic()
            raise
        return Needs() if found is None else Needs.of(found.get("TemplateContent", {}))

    @property
    def local(self) -> bool:
        """Whether it is no SES but a stand-in on this machine."""
        return is_local(self._client)

    async def check_run(self, settings: Settings) -> None:
        """Looks at what every mail of the run depends on; raises `Halted` for what would refuse them all."""
        sender = bare_address(settings.from_address)
        identity = None
        for name in (sender, sender.rpartition("@")[2]):
            identity = identity or await self._ask("get_email_identity", quiet_404=True, EmailIdentity=name)
        if identity is not None and is_unverified(identity):
            raise Halted("sender-not-verified", f"{sender} is not verified in SES: verify it or its domain")
        if settings.configuration_set:
            missing = f"SES has no configuration set {settings.configuration_set!r}"
            found = await self._ask(
                "get_configuration_set", missing_halts=missing, ConfigurationSetName=settings.configuration_set
            )
            if (found or {}).get("SendingOptions", {}).get("SendingEnabled") is False:
                paused = f"sending is paused for configuration set {settings.configuration_set!r}: resume it in SES"
                raise Halted("sending-paused", paused)

    async def suppressed(self) -> frozenset[str]:
        """The account's suppression list, lower case; empty when the endpoint has none."""
        addresses: set[str] = set()
        token: dict[str, Any] = {}
        while True:
            page = await self._ask("list_suppressed_destinations", PageSize=1000, **token)
            if page is None:
                return frozenset()
            addresses.update(entry["EmailAddress"].lower() for entry in page.get("SuppressedDestinationSummaries", []))
            if not page.get("NextToken"):
                return frozenset(addresses)
            token = {"NextToken": page["NextToken"]}

    async def _ask(
        self,
        call: str,
        *,
        missing_halts: str = "",
        quiet_404: bool = False,
        silence_matters: bool = False,
        **params: Any,
    ) -> dict[str, Any] | None:
        """A read call; ``None`` (with one warning) where the endpoint lacks it: never a reason not to send.

        Where silence matters, raises `SesAway` when SES cannot be reached or answers nobody now.
        """
        try:
            return await in_thread(lambda: getattr(self._reader, call)(**params))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == "NotFoundException" and missing_halts:
                raise Halted(
                    "template-or-configuration-set-missing",
                    f"{missing_halts}: `mailonce templates push DIR` puts templates there",
                ) from None
            if code == "NotFoundException" and quiet_404:
                return None
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if silence_matters and _answers_nobody(status, code):
                raise SesAway(f"SES answers {call} with {code or status}") from None
            self._warn(call, code)
        except _CREDENTIALS as error:
            raise Halted("credentials", f"no AWS credentials or region: {error}") from None
        except BotoCoreError as error:
            if silence_matters:
                raise SesAway(f"SES does not answer {call}: {error}") from None
            self._warn(call, str(error))
        return None

    def _warn(self, call: str, why: str) -> None:
        if call not in self._warned:
            self._warned.add(call)
            log.warning(Event.SES_READ_CALL_MISSING, call=call, error=why, follows="worked without")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
