"""The HTTP server: SES's REST calls, the admin API under ``/_sandbox``, and the mailbox page."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from infra.ses_sandbox import __doc__ as about
from infra.ses_sandbox import api_names as api_names
from infra.ses_sandbox.api import Api
from infra.ses_sandbox.events import Events
from infra.ses_sandbox.faults import Fault, FaultKind, Faults, error_of
from infra.ses_sandbox.limits import Limits
from infra.ses_sandbox.mailbox import list_page, message_page
from infra.ses_sandbox.model import AcceptedMail, SandboxSettings, SesError, as_dict
from infra.ses_sandbox.query import query
from infra.ses_sandbox.record import Record
from infra.ses_sandbox.send import accept, check_signature
from infra.ses_sandbox.store import Store

__all__ = ["Sandbox"]

_SEND = "/v2/email/outbound-emails"
_REQUEST_BYTES_MAX = 60_000_000
_JSON = {"Content-Type": "application/json"}
_CSP = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'"
}


class Sandbox:
    """One emulated account in one folder."""

    def __init__(self, folder: Path, overrides: dict[str, Any] | None = None) -> None:
        self.store = Store(folder)
        if overrides:
            self._change_settings(overrides)
        self.record = Record(folder)
        self.limits = Limits(self.store.settings)
        for at_ms in self.record.times_ms():
            self.limits.count(1, at_ms / 1000)
        self.faults = Faults()
        self.refused: Counter[str] = Counter()
        """SendEmail's refusals since the record began, by SES's code."""
        self.events = Events(self.store.settings)
        self.api = Api(self.store, self.limits)
        self._decode = msgspec.json.Decoder(dict[str, Any]).decode

    async def serve(self, port: int, host: str = "127.0.0.1", started: Callable[[], None] = lambda: None) -> None:
        """Listens until it is cancelled."""
        server = web.Server(self._handle, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=5.0)
        await runner.setup()
        await web.TCPSite(runner, host, port, backlog=1024).start()
        started()
        try:
            await self.events.run()
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        try:
            if path == _SEND and request.method == "POST":
                return await self._sent_or_refused(request)
            if path == "/" and request.method == "POST":
                self._check_signature(request)
                status, xml = query(await request.read(), self.store.settings)
                return web.Response(status=status, text=xml, content_type="text/xml")
            if path.startswith("/v2/"):
                self._check_signature(request)
                answer = self.api.call(
                    request.method, request.raw_path.partition("?")[0], dict(request.query), await request.read()
                )
                return _json(answer)
            if path.startswith("/_sandbox/"):
                return await self._admin(request, path.removeprefix("/_sandbox/"))
            return self._page(request, path)
        except SesError as error:
            return _error(error)
        except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
            return _error(SesError(400, "BadRequestException", str(error)))

    def _check_signature(self, request: web.BaseRequest) -> None:
        headers = request.headers
        check_signature(headers.get("Authorization"), headers.get("X-Amz-Date"), self.store.settings)

    # ---- SendEmail ----

    async def _sent_or_refused(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._send(request)
        except SesError as error:
            self.refused[error.code] += 1
            raise

    async def _send(self, request: web.BaseRequest) -> web.StreamResponse:
        if (request.content_length or 0) > _REQUEST_BYTES_MAX:
            raise SesError(413, "RequestEntityTooLarge", "Request is too large.")
        # Of any length, unlike `request.read()`: attachments.
        body = self._decode(await request.content.read())
        addresses = [str(a) for a in (body.get("Destination") or {}).get("ToAddresses") or []]
        fault = self.faults.strike(addresses)
        if fault is not None and not fault.kind.accepts:
            await _pause(fault.latency_ms)
            return await self._fail(request, fault)
        self._check_signature(request)
        mail = self._accept(body, fault)
        await _pause(self.store.settings.latency_ms + (fault.latency_ms if fault else 0))
        if fault is not None and fault.kind is not FaultKind.LATENCY:
            return await self._fail(request, fault, mail.message_id)
        return web.Response(body=b'{"MessageId":"%b"}' % mail.message_id.encode(), headers=_JSON)

    def _accept(self, body: dict[str, Any], fault: Fault | None) -> AcceptedMail:
        mail = accept(body, self.store, self.limits, len(self.record), fault.kind.value if fault else "")
        if not mail.not_delivered and any(a.lower() in self.store.kept.suppressed for a in mail.to):
            mail = msgspec.structs.replace(mail, not_delivered="on the account's suppression list")
        self.record.append(mail)
        destinations = self.store.kept.configuration_sets.get(mail.configuration_set, [])
        wanted = {
            kind for entry in destinations if entry.get("Enabled") for kind in entry.get("MatchingEventTypes", [])
        }
        self.events.accepted(mail, wanted)
        return mail

    async def _fail(self, request: web.BaseRequest, fault: Fault, message_id: str = "") -> web.StreamResponse:
        if error := error_of(fault):
            raise error
        match fault.kind:
            case FaultKind.ACCEPT_CLOSE if request.transport is not None:
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
                request.transport.write(head + b'{"MessageId":"%b"}' % message_id.encode())
                request.transport.close()
                return web.Response()
            case FaultKind.ACCEPT_GARBLE:
                return web.Response(body=b'{"MessageId": "0100', headers=_JSON)
            case FaultKind.ACCEPT_EMPTY:
                return web.Response(body=b"{}", headers=_JSON)
            case FaultKind.HANG | FaultKind.ACCEPT_HANG:
                await _until_closed(request)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    # ---- admin ----

    async def _admin(self, request: web.BaseRequest, what: str) -> web.StreamResponse:
        if request.method == "GET":
            return self._look(what, request.query.get("since", "0"))
        body = await request.read()
        match request.method, what:
            case "PATCH", "settings":
                self._change_settings(self._decode(body))
            case "POST", "faults":
                self.faults.add(msgspec.json.decode(body, type=Fault))
            case "DELETE", "faults":
                self.faults.clear()
            case "DELETE", "accepted":
                self.record.clear()
                self.events.forget()
                self.refused.clear()
            case "POST", "events":
                return await self._emit(self._decode(body))
            case "POST", "events/flush":
                return _json({"published": await self.events.flush(everything=True)})
            case _:
                return _error(SesError(404, "NotFoundException", f"no admin call {request.method} {what}"))
        return _json(as_dict(self.store.settings))

    def _look(self, what: str, since: str) -> web.StreamResponse:
        match what:
            case "health":
                return _json({"ok": True})
            case "about":
                return web.Response(text=about)
            case "summary":
                events = {"events_pending": self.events.pending, "events": self.events.published}
                return _json(self.record.summary() | {"refused": dict(self.refused)} | events)
            case "accepted":
                mails = (self.record.get(n) for n in range(int(since), len(self.record)))
                return _json([as_dict(mail) for mail in mails if mail])
            case "settings":
                return _json(as_dict(self.store.settings))
            case "faults":
                return _json([as_dict(fault) for fault in self.faults.all()])
        return _error(SesError(404, "NotFoundException", f"no admin call GET {what}"))

    def _change_settings(self, changes: dict[str, Any]) -> None:
        settings = self.store.settings
        if unknown := set(changes) - set(settings.__struct_fields__):
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
        checked = msgspec.convert(as_dict(settings) | changes, SandboxSettings)
        for name in changes:
            setattr(settings, name, getattr(checked, name))
        self.store.save()

    async def _emit(self, wanted: dict[str, Any]) -> web.StreamResponse:
        """Sends one event of one message now: ``{"n": 3, "kind": "Complaint"}``."""
        mail = self.record.get(int(wanted["n"]))
        if mail is None:
            raise ValueError(f"no message {wanted['n']}")
        self.events.add(mail, str(wanted["kind"]))
        return _json({"published": await self.events.flush(everything=True)})

    # ---- pages ----

    def _page(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        if path == "/":
            skip = int(request.query.get("skip", "0"))
            page = list_page(self.record, request.query.get("q", ""), max(0, skip))
            return web.Response(text=page, content_type="text/html", headers=_CSP)
        number = path.removeprefix("/message/")
        mail = self.record.get(int(number)) if number.isdigit() else None
        if mail is None:
            return web.Response(status=404, text="no such page")
        return web.Response(text=message_page(mail), content_type="text/html", headers=_CSP)


def _json(answer: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), headers=_JSON)


def _error(error: SesError) -> web.Response:
    return web.Response(
        status=error.status,
        body=msgspec.json.encode({"message": error.message}),
        headers={**_JSON, **({"x-amzn-ErrorType": error.code} if error.code else {})},
    )


async def _pause(milliseconds: float) -> None:
    if milliseconds > 0:
        await asyncio.sleep(milliseconds / 1000)


async def _until_closed(request: web.BaseRequest) -> None:
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.05)
