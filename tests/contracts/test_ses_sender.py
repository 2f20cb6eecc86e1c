"""Both transports against a misbehaving SES: what each fault looks like, and that no call is ever repeated.

A plain socket server stands for what the sandbox cannot do: it counts the requests that really arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from botocore.credentials import ReadOnlyCredentials, RefreshableCredentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from processor.adapters.attachments import AttachingSender, Named, read_all
from processor.adapters.clock import boot_s
from processor.adapters.ses import BotoSender
from processor.adapters.ses_lean import LeanSender
from processor.adapters.ses_wire import take_specimen
from processor.building import make_sender
from processor.core.answers import Accepted, Halt, NotWritten, ServiceError, Unanswered, Unknown, classify
from schemas.runtime.entry import sparing_loopback
from schemas.runtime.errors import SesAway, UsageError
from schemas.runtime.logs import Event
from schemas.runtime.settings import Settings, load_settings

REQUEST = {
    "FromEmailAddress": "usage@example.com",
    "Destination": {"ToAddresses": ["a@mail.example.net"]},
    "Content": {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}},
}


class Server:
    """Answers each request with fixed bytes, or misbehaves; counts whole requests."""

    def __init__(self, answer: bytes | None, after: Callable[[socket.socket], None] | None = None) -> None:
        self.answer, self._after = answer, after
        self.requests = 0
        self.received: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while self._read_request(connection):
                self.requests += 1
                if self.answer is not None:
                    connection.sendall(self.answer)
                if self._after is not None:
                    self._after(connection)

    def _read_request(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return False
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        named = (line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        length = next((int(line.split(b":")[1]) for line in named), 0)
        while len(body) < length:
            body += connection.recv(65536)
        self.received.append(head + b"\r\n\r\n" + body)
        return True

    def close(self) -> None:
        self._listener.close()
        for connection in self._open:
            connection.close()


@contextmanager
def serving(answer: bytes | None, after: Callable[[socket.socket], None] | None = None) -> Iterator[Server]:
    server = Server(answer, after)
    try:
        yield server
    finally:
        server.close()


def http(status: str, body: bytes = b"", *, code: str = "", length: int | None = None) -> bytes:
    kind = f"x-amzn-ErrorType: {code}\r\n" if code else ""
    size = len(body) if length is None else length
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{kind}Content-Length: {size}\r\n\r\n".encode() + body
    )


@pytest.fixture(params=["boto3", "lean"])
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Settings:
    # Whatever the machine is configured to retry must not reach the sending client.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    monkeypatch.setenv("AWS_RETRY_MODE", "legacy")
    return load_settings(calls_at_once=2, ses_read_timeout_s=60, ses_connect_timeout_s=60, ses_transport=request.param)


async def send(
    settings: Settings,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    scheme: str = "http",
    forbidden: str = "",
    request: dict[str, object] = REQUEST,
) -> object:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"{scheme}://127.0.0.1:{port}")
    sender = make_sender(settings)
    try:
        return await sender.send(request, lambda: forbidden)
    finally:
        sender.close()


DOUBT = {
    "connection closed after the request": (None, socket.socket.close),
    "no answer": (None, None),
    "headers, then silence": (http("200 OK", b"", length=50), None),
    "a body cut short": (http("200 OK", b'{"Mess', length=50), socket.socket.close),
    "200 with garbage": (http("200 OK", b'{"MessageId": "0'), None),
    "200 with nothing": (http("200 OK", b""), None),
    "200 without a MessageId": (http("200 OK", b"{}"), None),
    "200 with an empty MessageId": (http("200 OK", b'{"MessageId": ""}'), None),
    "500": (http("500 Oops", b'{"message": "x"}', code="InternalServiceErrorException"), None),
    "502 from a proxy": (http("502 Bad Gateway", b"<html>bad gateway</html>"), None),
    "503": (http("503 Slow", b"{}", code="ServiceUnavailable"), None),
    "504": (http("504 Timeout", b""), None),
    "408": (http("408 Timeout", b"{}", code="RequestTimeoutException"), None),
    "404 from a proxy": (http("404 Not Found", b"<html>"), None),
    "a code nobody listed": (http("400 Bad", b'{"message": "x"}', code="BrandNewException"), None),
}
SILENCE = {"no answer", "headers, then silence"}
"""What only the client's own time-out ends."""


@pytest.mark.parametrize("fault", DOUBT)
async def test_lost_answers_are_doubt_and_never_repeated(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """G1: the server saw one request; nobody knows what became of it; nobody sends it again."""
    if fault in SILENCE:
        settings = settings.model_copy(update={"ses_read_timeout_s": 1.0})
    with serving(*DOUBT[fault]) as server:
        answer = await send(settings, server.port, monkeypatch)
        assert isinstance(classify(answer), Unknown), answer  # type: ignore[arg-type]
        assert server.requests == 1
        if settings.ses_transport == "lean":
            reference = await send(settings.model_copy(update={"ses_transport": "boto3"}), server.port, monkeypatch)
            assert isinstance(classify(reference), Unknown), reference  # type: ignore[arg-type]


async def test_refusals_are_read_and_never_repeated(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """G1: boto3 would re-send a throttled call by itself; here the protocol decides."""
    answer_bytes = http("429 Slow", b'{"message": "Maximum sending rate exceeded."}', code="TooManyRequestsException")
    with serving(answer_bytes) as server:
        answer = await send(settings, server.port, monkeypatch)
        assert answer == ServiceError(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
        assert server.requests == 1


REFUSALS = {
    "throttled": http("429 Slow", b'{"message": "Maximum sending rate exceeded."}', code="TooManyRequestsException"),
    "quota": http("400 Bad", b'{"message": "Daily message quota exceeded."}', code="LimitExceededException"),
    "rejected": http("400 Bad", b'{"message": "Email address is not verified."}', code="MessageRejected"),
    "code with a namespace": http("400 Bad", b'{"message": "no"}', code="BadRequestException:http://x/"),
    "code in the body": http("403 No", b'{"__type": "com.amazon#AccessDeniedException", "message": "no"}'),
    "message in capitals": http("404 Gone", b'{"Message": "no template"}', code="NotFoundException"),
    "no body": http("403 No", b"", code="SignatureDoesNotMatch"),
}


@pytest.mark.parametrize("settings", ["lean"], indirect=True)
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refusals_are_read_as_boto3_reads_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    """Status, code and sentence are the same, whichever transport asked."""
    with serving(REFUSALS[refusal]) as server:
        answer = await send(settings, server.port, monkeypatch)
        reference = await send(settings.model_copy(update={"ses_transport": "boto3"}), server.port, monkeypatch)
    assert isinstance(answer, ServiceError)
    assert answer == reference


TEMPLATED = {
    "FromEmailAddress": "Ümlaut <usage@example.com>",
    "Destination": {"ToAddresses": ["a@mail.example.net"]},
    "Content": {
        "Template": {
            "TemplateName": "monthly",
            "TemplateData": '{"name": "Zoë \u2028 \U0001f600", "usage": "4,2"}',
            "Headers": [{"Name": "List-Unsubscribe", "Value": "<https://example.com/u?x=1&y=2>"}],
        }
    },
    "EmailTags": [{"Name": "mailonce_user", "Value": "u1"}, {"Name": "mailonce_month", "Value": "2026-11"}],
    "ReplyToAddresses": ["help@example.com"],
    "ConfigurationSetName": "mailonce",
}


@pytest.mark.parametrize("settings", ["lean"], indirect=True)
@pytest.mark.parametrize("token", ["", "a/session+token=="])
@pytest.mark.parametrize("request_", [REQUEST, TEMPLATED], ids=["simple", "templated"])
async def test_the_lean_transport_writes_boto3s_bytes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, token: str, request_: dict[str, object]
) -> None:
    """The same request to the last byte, signature and order of headers included, when the clock stands still."""
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    for at in (datetime(2026, 11, 1, 23, 59, 59), datetime(2026, 11, 2)):  # noqa: DTZ001 - as botocore has it
        for module in ("botocore.auth", "processor.adapters.ses_wire"):
            monkeypatch.setattr(f"{module}.get_current_datetime", lambda *_, at=at, **__: at)
        monkeypatch.setattr("uuid.uuid4", lambda: "an-id")
        monkeypatch.setattr("processor.adapters.ses_wire.uuid4", lambda: "an-id")
        with serving(http("200 OK", b'{"MessageId": "0100-x"}')) as server:
            for transport in ("boto3", "lean"):
                chosen = settings.model_copy(update={"ses_transport": transport})
                assert await send(chosen, server.port, monkeypatch, request=request_) == Accepted("0100-x")
            reference, lean = server.received
        assert lean == reference


async def test_an_acceptance_is_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A MessageId is acceptance."""
    with serving(http("200 OK", b'{"MessageId": "0100-x"}')) as server:
        assert await send(settings, server.port, monkeypatch) == Accepted("0100-x")


async def test_nothing_was_written(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection proves that nothing was sent."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        answer = await send(settings, unused.getsockname()[1], monkeypatch)
    assert isinstance(answer, NotWritten)
    assert answer.kind == "unreachable"


async def test_a_broken_handshake_is_doubt(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSLError subclasses ConnectionError and can also come after the request: it proves nothing."""
    settings = settings.model_copy(update={"ses_read_timeout_s": 1.0, "ses_connect_timeout_s": 1.0})
    with serving(b"this is no TLS at all\r\n\r\n") as server:
        answer = await send(settings, server.port, monkeypatch, scheme="https")
        assert isinstance(answer, Unanswered)


def serving_tls(listener: socket.socket, pem: Path) -> threading.Thread:
    """Answers one request on TLS with an acceptance."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def serve() -> None:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            data = b""
            while not data.endswith(b"}}") and (piece := secure.recv(65536)):
                data += piece
            secure.sendall(http("200 OK", b'{"MessageId": "0100-x"}'))
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize("named", ["127.0.0.1", "192.0.2.1"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_certificates_are_verified(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str, trusted: bool
) -> None:
    """Unknown or for another host: it fails before the request, so it is not sent, and no other message would be."""
    pem = self_signed(tmp_path, named)
    if trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(pem))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = serving_tls(listener, pem)
        answer = await send(settings, listener.getsockname()[1], monkeypatch, scheme="https")
        await asyncio.to_thread(thread.join)
    if trusted and named == "127.0.0.1":
        assert answer == Accepted("0100-x")
    else:
        assert isinstance(answer, NotWritten)
        assert answer.kind == "certificate"
        assert isinstance(classify(answer), Halt)


def self_signed(folder: Path, address: str) -> Path:
    """A certificate of its own authority for an address, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return pem


async def test_a_forbidden_call_does_not_leave(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """G1: past its deadline, or when the process is not current, a request is stopped after signing, before the first byte."""
    with serving(http("200 OK", b'{"MessageId": "0100-x"}')) as server:
        answer = await send(settings, server.port, monkeypatch, forbidden="too late")
        assert isinstance(answer, NotWritten)
        assert (answer.kind, answer.detail) == ("forbidden", "too late")
        assert server.requests == 0


@pytest.mark.parametrize("settings", ["boto3"], indirect=True)
async def test_bad_parameters_do_not_leave(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore's own validation comes before the network."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:1")
    sender = make_sender(settings)
    answer = await sender.send({"Nonsense": 1}, boot_s() + 60)
    sender.close()
    assert isinstance(answer, NotWritten)
    assert answer.kind == "parameters"


async def test_without_credentials_nothing_leaves(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials: every message would be refused, so it halts."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    answer = await send(settings, 1, monkeypatch)
    assert isinstance(answer, NotWritten)
    assert answer.kind == "credentials"


@pytest.mark.parametrize("settings", ["lean"], indirect=True)
async def test_credentials_that_live_for_minutes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 renews what ends within a quarter of an hour at every look: each call has others, and they are signed with."""
    given = itertools.count()

    def refresh() -> dict[str, str]:
        n = next(given)
        end = datetime.now(UTC) + timedelta(minutes=5)
        return {"access_key": f"AKID{n}", "secret_key": "s", "token": f"token-{n}", "expiry_time": end.isoformat()}

    monkeypatch.setattr("processor.adapters.ses_lean.CREDENTIALS_TTL_S", -1.0)
    with serving(http("200 OK", b'{"MessageId": "0100-x"}')) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{server.port}")
        sender = make_sender(settings)
        short = RefreshableCredentials.create_from_metadata(refresh(), refresh, "test")
        sender._session._session._credentials = short
        sender._client._request_signer._credentials = short
        for _ in range(3):
            assert await sender.send(REQUEST, lambda: "") == Accepted("0100-x")
        assert sender._client._request_signer._credentials is short
        sender.close()
    keys = [request.partition(b"Credential=")[2].partition(b"/")[0] for request in server.received]
    assert len({*keys}) == 3


@pytest.mark.parametrize("settings", ["lean"], indirect=True)
async def test_what_fails_before_a_request_is_not_in_doubt(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """G4: nothing was written, whatever it was: a boto3 that is not understood in mid-run, a request without a form."""
    with serving(http("200 OK", b'{"MessageId": "0100-x"}')) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{server.port}")
        sender = make_sender(settings)
        odd = await sender.send({"Destination": object()}, lambda: "")
        assert isinstance(odd, NotWritten)
        assert odd.kind == "parameters"
        monkeypatch.setattr("processor.adapters.ses_lean.CREDENTIALS_TTL_S", -1.0)

        def refuse(*_: object) -> None:
            raise UsageError("this version of boto3 writes requests in a way the lean transport does not know")

        assert isinstance(sender, LeanSender)
        sender._credentials = ReadOnlyCredentials("others", "until now", None)
        monkeypatch.setattr("processor.adapters.ses_lean.Wire.of", refuse)
        answer = await sender.send(REQUEST, lambda: "")
        sender.close()
        assert isinstance(answer, NotWritten)
        assert "does not know" in answer.detail
        assert server.requests == 0


async def test_what_a_template_needs_is_not_guessed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template never seen is not taken for one that needs nothing because SES is away; one that was seen is kept."""
    told = b'{"TemplateName": "t", "TemplateContent": {"Subject": "{{city}}", "Text": "x"}}'
    monkeypatch.setattr("processor.adapters.ses.ASK_AGAIN_S", 0.0)
    with serving(http("400 Bad Request", code="TooManyRequestsException")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{server.port}")
        sender = make_sender(settings)
        # The reading client's own back-off is not what is tried here.
        sender._reader = sender._client
        for nobody in (
            server.answer,
            http("503 Busy"),
            http("502 Bad Gateway", b"<html>"),
            http("500 Oh", b'{"message": "no"}', code="InternalFailure"),
        ):
            server.answer = nobody
            with pytest.raises(SesAway):
                await sender.template_needs("t")
        server.answer = http("200 OK", told)
        assert (await sender.template_needs("t")).names == {"city"}
        monkeypatch.setattr("processor.adapters.ses.TEMPLATE_TTL_S", 0.0)
        for lacks in (http("501 No"), http("500 No", b"<html>"), http("404 No", b"<html>")):
            server.answer = lacks
            assert (await sender.template_needs("u")).names == set()
        server.answer = http("503 Busy")
        assert (await sender.template_needs("t")).names == {"city"}
        asked = server.requests
        monkeypatch.setattr("processor.adapters.ses.ASK_AGAIN_S", 3600.0)
        with pytest.raises(SesAway, match="a moment ago"):
            await sender.template_needs("v")
        assert server.requests == asked, "silence is asked about once in a while"
        sender.close()
    sender._reader = sender._client
    monkeypatch.setattr("processor.adapters.ses.ASK_AGAIN_S", 0.0)
    with pytest.raises(SesAway, match="does not answer"):
        await sender.template_needs("v")


@pytest.mark.parametrize("size", [10, 300_000])
async def test_attachments_are_the_same_bytes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int
) -> None:
    """By both transports, small or large: base64 within the JSON that boto3 would write."""
    (tmp_path / "a.pdf").write_bytes(bytes(range(256)) * (size // 256) + b"\xff\x00")
    named = Named(tmp_path, "a.pdf", "a.pdf", "application/pdf", "")
    content = {"Simple": {**REQUEST["Content"]["Simple"], "Attachments": [named]}}  # type: ignore[index]
    with serving(http("200 OK", b'{"MessageId": "m-1"}')) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{server.port}")
        sender = make_sender(settings)
        assert await AttachingSender(sender).send({**REQUEST, "Content": content}, lambda: "") == Accepted("m-1")
        wanted = take_specimen(
            sender._client, {**REQUEST, "Content": {"Simple": {**content["Simple"], "Attachments": read_all([named])}}}
        )
        sender.close()
    (received,) = server.received
    assert received.partition(b"\r\n\r\n")[2] == wanted.body


@pytest.mark.parametrize("settings", ["auto"], indirect=True)
async def test_auto_is_lean_where_it_can_show_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason stands in one line; behind a proxy, and with a boto3 that is not understood, it is boto3 itself."""

    async def began(port: int) -> str:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{port}")
        sender = make_sender(settings)
        assert isinstance(sender, LeanSender)
        monkeypatch.setattr(BotoSender, "check_run", nothing)
        await sender.check_run(settings)
        assert await sender.send(REQUEST, lambda: "") == Accepted("m-1")
        assert await sender.send(REQUEST, lambda: "no") == NotWritten("forbidden", "no")
        sender.close()
        return "boto3" if sender._generic else "lean"

    async def nothing(*_: object) -> None: ...

    with serving(http("200 OK", b'{"MessageId": "m-1"}')) as server, capture_logs() as logs:
        assert await began(server.port) == "lean"
        with monkeypatch.context() as patch:
            patch.setattr("processor.adapters.ses_wire.Wire.request", lambda *_, **__: b"others")
            assert await began(server.port) == "boto3"
        with monkeypatch.context() as patch:
            patch.setattr("processor.adapters.ses_lean.get_environ_proxies", lambda _url: {"http": "http://proxy"})
            assert await began(server.port) == "boto3"
    told = [entry for entry in logs if entry["event"] == Event.SES_TRANSPORT]
    assert [entry["transport"] for entry in told] == ["lean", "boto3", "boto3"]
    assert told[1]["why"] == "this version of boto3 writes requests in a way the lean transport does not know"
    assert told[2]["why"] == "the lean transport goes through no proxy"


async def test_calls_run_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server answers none of two calls before it has both."""
    import threading

    both = threading.Barrier(2)

    def answer(connection: socket.socket) -> None:
        both.wait(60)
        connection.sendall(http("200 OK", b'{"MessageId": "x"}'))

    with serving(None, answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{server.port}")
        sender = make_sender(settings.model_copy(update={"ses_read_timeout_s": 30.0}))
        answers = await asyncio.gather(*(sender.send(REQUEST, lambda: "") for _ in range(2)))
        sender.close()
        assert answers == [Accepted("x"), Accepted("x")]


DEAD_PROXY = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


async def test_a_proxy_is_not_asked_for_loopback(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variables every program sets for itself, a server on this machine is reached whatever proxy there is."""
    for name, value in (DEAD_PROXY | sparing_loopback(DEAD_PROXY)).items():
        monkeypatch.setenv(name, value)
    with serving(http("200 OK", b'{"MessageId": "m-1"}')) as server:
        assert await send(settings, server.port, monkeypatch) == Accepted("m-1")


@pytest.mark.parametrize("settings", ["lean"], indirect=True)
async def test_the_lean_transport_and_proxies(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of exceptions alone makes no proxy; where there is one for this host, the user is told what to set."""
    monkeypatch.setenv("NO_PROXY", "intern.example.net")
    with serving(http("200 OK", b'{"MessageId": "m-1"}')) as server:
        assert await send(settings, server.port, monkeypatch) == Accepted("m-1")
        for name, value in DEAD_PROXY.items():
            monkeypatch.setenv(name, value)
        sender = make_sender(settings)
        assert isinstance(sender, LeanSender)
        with contextlib.closing(sender), pytest.raises(UsageError, match="MAILONCE_SES_TRANSPORT=boto3"):
            sender._open()
