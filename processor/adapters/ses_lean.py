"""SES without botocore's generic path: the same bytes, the same answers, a fraction of the CPU.

boto3 stays the reference: credentials, endpoint, the request's form and the reading of refusals are its own, and every
read call goes through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, NoCredentialsError
from botocore.httpsession import create_urllib3_context, get_cert_path
from botocore.parsers import ResponseParserError, create_parser
from botocore.utils import get_environ_proxies

from processor.adapters.attachments import large
from processor.adapters.http import Broken, Connections, NotConnected, Response
from processor.adapters.ses import BotoSender, MayNotLeave, answer_of_exception, answer_of_response
from processor.adapters.ses_wire import Wire
from processor.core.answers import Accepted, Answer, NotWritten, ServiceError, Unanswered
from processor.ports import Forbidden
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import Halted, UsageError
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["LeanSender"]

log = get_log()

CREDENTIALS_TTL_S = 30.0
"""boto3 is asked for credentials this often; it refreshes them minutes before they end."""


class _Sent(msgspec.Struct):
    MessageId: str = ""


class _NotMade(Exception):
    """The request cannot be written down."""


class LeanSender(BotoSender):
    """See `processor.ports.Sender` for the laws. Calls run on the event loop."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._or_boto3 = settings.ses_transport == "auto"
        self._generic = False
        """Whether boto3's own path is taken: these requests cannot be shown to be the same."""
        self._settings = settings
        self._decoder = msgspec.json.Decoder(_Sent)
        self._parser = create_parser("rest-json")
        shape = self._client.meta.service_model.operation_model("SendEmail").output_shape
        assert shape is not None
        self._shape = shape
        self._wire: Wire | None = None
        self._connections: Connections
        self._credentials: ReadOnlyCredentials
        self._credentials_at_s = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def check_run(self, settings: Settings) -> None:
        await super().check_run(settings)
        try:
            await self._renew_credentials()
        except BotoCoreError as error:
            raise Halted("credentials", f"no AWS credentials: {error}") from None
        if self._open() is not None and self._or_boto3:
            log.info(Event.SES_TRANSPORT, transport="lean", why="its requests are boto3's to the last byte")

    def _give_way(self, why: UsageError) -> None:
        """boto3's own path from now on, said in one line. Raises `why` where the setting asks for this one."""
        if not self._or_boto3:
            raise why
        self._generic = True
        log.info(Event.SES_TRANSPORT, transport="boto3", why=str(why).partition(": set ")[0])

    async def send(self, request: Mapping[str, Any], forbidden: Forbidden) -> Answer:
        if large(request):
            # To encode and sign megabytes would hold up the loop; boto3's own path does it on a thread.
            return await super().send(request, forbidden)
        try:
            if not self._generic and time.monotonic() - self._credentials_at_s > CREDENTIALS_TTL_S:
                await self._renew_credentials()
            wire = None if self._generic else self._wire or self._open()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was written
            answer = answer_of_exception(error)
            return answer if isinstance(answer, NotWritten) else NotWritten("unreachable", str(error))
        if wire is None:
            return await super().send(request, forbidden)
        try:

            def make() -> bytes:
                try:
                    made = wire.request(request, self._credentials)
                except (TypeError, ValueError) as error:
                    raise _NotMade(str(error)) from None
                # After signing: if the process is stopped from here on, the signature grows too old and SES refuses it.
                if why := forbidden():
                    raise MayNotLeave(why)
                return made

            return self._answer(await self._connections.exchange(make))
        except NotConnected as error:
            untrusted = isinstance(error.__cause__, ssl.SSLCertVerificationError)
            return NotWritten("certificate" if untrusted else "unreachable", str(error))
        except _NotMade as error:
            return NotWritten("parameters", str(error))
        except Broken as error:
            return Unanswered(error.kind, str(error))
        except Exception as error:  # noqa: BLE001 - every exception is an answer, an unlisted one is uncertain
            return answer_of_exception(error)

    def _answer(self, response: Response) -> Answer:
        with contextlib.suppress(msgspec.MsgspecError):
            if response.status == 200 and (sent := self._decoder.decode(response.body)).MessageId:
                return Accepted(sent.MessageId)
        # Everything else is read by botocore itself.
        told = {"status_code": response.status, "headers": response.headers, "body": response.body}
        try:
            parsed = self._parser.parse(told, self._shape)
        except ResponseParserError as unreadable:
            return answer_of_exception(unreadable)
        if response.status < 300:
            return answer_of_response(parsed)
        about = parsed.get("Error", {})
        return ServiceError(response.status, str(about.get("Code", "")), str(about.get("Message", "")))

    async def _renew_credentials(self) -> None:
        """On a thread: boto3 may ask the instance's metadata, STS or a process for new ones."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_credentials())
        await asyncio.shield(self._asking)

    async def _ask_credentials(self) -> None:
        found = self._session.get_credentials()
        if found is None:
            raise NoCredentialsError
        frozen = await in_thread(found.get_frozen_credentials)
        if self._credentials_at_s == float("-inf") or frozen != self._credentials:
            self._credentials = frozen
            if self._wire is not None:
                self._remake(frozen)
        self._credentials_at_s = time.monotonic()

    def _remake(self, frozen: ReadOnlyCredentials) -> None:
        try:
            self._wire = self._made_wire(frozen)
        except UsageError as error:
            self._give_way(error)

    def _open(self) -> Wire | None:
        """The wire and its connections; ``None`` when boto3's own path is taken instead."""
        try:
            return self._opened()
        except UsageError as error:
            self._give_way(error)
            return None

    def _opened(self) -> Wire:
        url = self._client.meta.endpoint_url
        # The list of exceptions (`no`) is in it, too: it makes no proxy.
        if urlsplit(url).scheme in get_environ_proxies(url):
            raise UsageError("the lean transport goes through no proxy: set MAILONCE_SES_TRANSPORT=boto3")
        wire = self._made_wire(self._credentials)
        tls = _tls(self._session._session.get_config_variable("ca_bundle")) if wire.scheme == "https" else None
        settings = self._settings
        self._connections = Connections(
            wire.host,
            wire.port or (443 if tls else 80),
            tls,
            settings.ses_connect_timeout_s,
            settings.ses_read_timeout_s,
        )
        self._wire = wire
        return wire

    def _made_wire(self, frozen: ReadOnlyCredentials) -> Wire:
        """boto3 signs its specimen with the same credentials: those that live for less than a quarter of an hour it
        would renew at every look."""
        signer: Any = self._client._request_signer  # type: ignore[attr-defined]
        kept = signer._credentials
        signer._credentials = Credentials(frozen.access_key or "", frozen.secret_key or "", frozen.token)
        try:
            return Wire.of(self._client, frozen)
        finally:
            signer._credentials = kept

    def close(self) -> None:
        super().close()
        if self._wire is not None:
            self._connections.close()


def _tls(authorities: Any) -> ssl.SSLContext:
    """As strict as boto3's: its own context and its own choice of authorities."""
    context = create_urllib3_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    context.check_hostname = True
    context.load_verify_locations(get_cert_path(authorities or True))
    assert isinstance(context, ssl.SSLContext)
    return context
