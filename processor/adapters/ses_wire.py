"""SendEmail as bytes: exactly those that boto3 would write for the same call, without its generic path.

boto3 is asked once for a specimen: endpoint, path, headers and their order are its own. What differs between two calls
(body, length, date, session token, signature, invocation id) is filled in here. `Wire.of` refuses a boto3 whose
specimen it cannot reproduce byte for byte.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import get_current_datetime
from botocore.credentials import ReadOnlyCredentials

from schemas.runtime.errors import UsageError

__all__ = ["Specimen", "Wire", "take_specimen"]

_SPECIMEN = {
    "FromEmailAddress": "specimen@example.com",
    "Destination": {"ToAddresses": ["specimen@example.com"]},
    "Content": {"Template": {"TemplateName": "specimen", "TemplateData": "{}"}},
}


def _blob(value: object) -> str:
    """Bytes as botocore's JSON writes them."""
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} is not for JSON")
    return base64.b64encode(value).decode()


_written = json.JSONEncoder(default=_blob).encode


@dataclass(frozen=True, slots=True)
class Specimen:
    """What boto3 was about to write."""

    url: str
    headers: dict[str, str]
    body: bytes


class _Taken(Exception):
    """Ends boto3's call before anything is written."""

    def __init__(self, specimen: Specimen) -> None:
        self.specimen = specimen


def take_specimen(client: Any, request: Mapping[str, Any] = _SPECIMEN) -> Specimen:
    """boto3's own request for a call, taken right before it would leave."""

    def take(request: Any, **_kwargs: Any) -> None:
        headers = {name: _text(value) for name, value in request.headers.items()}
        raise _Taken(Specimen(request.url, headers, bytes(request.body)))

    client.meta.events.register_first("before-send.sesv2.SendEmail", take)
    try:
        client.send_email(**request)
    except _Taken as taken:
        return taken.specimen
    finally:
        client.meta.events.unregister("before-send.sesv2.SendEmail", take)
    raise AssertionError("boto3 sent the specimen")


class _Signer(SigV4Auth):
    """botocore's signer for requests that differ only in body, date and token; the day's key is kept."""

    def __init__(self, credentials: ReadOnlyCredentials, service: str, region: str, path: str, host: str) -> None:
        super().__init__(credentials, service, region)
        self._path, self._host = path, host
        self._names = "content-type;host;x-amz-date" + (";x-amz-security-token" if credentials.token else "")
        self._request = AWSRequest()
        self._region, self._service = region, service
        self._key = b""
        self._second = ""
        self._before = self._after = ""

    def authorization(self, timestamp: str, body: bytes) -> str:
        if timestamp != self._second:
            self._at(timestamp)
        canonical = f"{self._before}{hashlib.sha256(body).hexdigest()}"
        signed = hmac.new(self._key, self.string_to_sign(self._request, canonical).encode(), hashlib.sha256)
        return self._after + signed.hexdigest()

    def _at(self, timestamp: str) -> None:
        """The parts that stay the same for a second."""
        if timestamp[:8] != self._second[:8]:
            self._key = f"AWS4{self.credentials.secret_key}".encode()
            for part in (timestamp[:8], self._region, self._service, "aws4_request"):
                self._key = hmac.digest(self._key, part.encode(), "sha256")
        self._second = self._request.context["timestamp"] = timestamp
        token = f"x-amz-security-token:{self.credentials.token}\n" if self.credentials.token else ""
        self._before = (
            f"POST\n{self._path}\n\ncontent-type:application/json\nhost:{self._host}\nx-amz-date:{timestamp}\n{token}\n"
            f"{self._names}\n"
        )
        scope = self.scope(self._request)
        self._after = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={self._names}, Signature="


class Wire:
    """Makes requests; see the module."""

    def __init__(self, specimen: Specimen, service: str, region: str, now: Callable[[], datetime]) -> None:
        parts = urlsplit(specimen.url)
        self.scheme, self.host, self.port = parts.scheme, parts.hostname or "", parts.port
        self._path = parts.path or "/"
        self._authority = parts.netloc
        self._service, self._region, self._now = service, region, now
        self._names = list(specimen.headers)
        self._fixed = specimen.headers
        self._signer: _Signer | None = None

    @classmethod
    def of(cls, client: Any, credentials: ReadOnlyCredentials, now: Callable[[], datetime] | None = None) -> Wire:
        """For a boto3 client. Raises `UsageError` when this boto3 writes requests that are not understood here."""
        specimen = take_specimen(client)
        signer = client._request_signer
        wire = cls(specimen, signer.signing_name, signer.region_name, now or get_current_datetime)
        date, invocation = specimen.headers.get("X-Amz-Date", ""), specimen.headers.get("amz-sdk-invocation-id", "")
        expected = wire.head(specimen.headers)
        if wire.request(_SPECIMEN, credentials, timestamp=date, invocation=invocation) != expected + specimen.body:
            raise UsageError(
                "this version of boto3 writes requests in a way the lean transport does not know: "
                "set MAILONCE_SES_TRANSPORT=boto3"
            )
        return wire

    def request(
        self,
        parameters: Mapping[str, Any],
        credentials: ReadOnlyCredentials,
        *,
        timestamp: str = "",
        invocation: str = "",
    ) -> bytes:
        """The whole request of one call, signed now."""
        body = _written(parameters).encode()
        timestamp = timestamp or self._now().strftime(SIGV4_TIMESTAMP)
        signer = self._signer
        if signer is None or signer.credentials is not credentials:
            signer = self._signer = _Signer(credentials, self._service, self._region, self._path, self._authority)
        changing = {
            "X-Amz-Date": timestamp,
            "Authorization": signer.authorization(timestamp, body),
            "amz-sdk-invocation-id": invocation or str(uuid4()),
            "Content-Length": str(len(body)),
        }
        if credentials.token:
            changing["X-Amz-Security-Token"] = credentials.token
        return self.head(self._fixed | changing) + body

    def head(self, headers: Mapping[str, str]) -> bytes:
        """Request line and headers as urllib3 writes them."""
        lines = "".join(f"{name}: {headers[name]}\r\n" for name in self._names)
        return (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._authority}\r\nAccept-Encoding: identity\r\n{lines}\r\n"
        ).encode("latin-1")


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
