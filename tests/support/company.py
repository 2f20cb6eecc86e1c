"""A company's network on loopback: a proxy that looks into every TLS connection, under a certificate of its own."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme

__all__ = ["Company"]


class Company:
    """`content` is what it says to every GET, by the URL's last part; `certificate` is what its users are to trust.

    With `known` it answers those alone who show `own_certificate`, which has its key in the same file.
    """

    def __init__(self, folder: Path, host: str, content: dict[str, bytes], *, known: bool = False) -> None:
        authority = trustme.CA()
        self.certificate = folder / "company.pem"
        authority.cert_pem.write_to_path(str(self.certificate))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(host).configure_cert(context)
        self.own_certificate = folder / "own.pem"
        authority.issue_cert("user@company.example").private_key_and_cert_chain_pem.write_to_path(
            str(self.own_certificate)
        )
        if known:
            authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
            # Later ones ask after the client's handshake: which of its errors tells it so is a matter of luck.
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(context, content))
        self.proxy = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self, context: ssl.SSLContext, content: dict[str, bytes]) -> type[BaseHTTPRequestHandler]:
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                try:
                    self.request = context.wrap_socket(self.connection, server_side=True)
                except OSError:  # a client that does not trust us
                    self.close_connection = True
                    return
                self.setup()
                self.close_connection = False

            def do_GET(self) -> None:
                data = content[self.path.rpartition("/")[2]]
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def finish(self) -> None:
                super().finish()
                self.connection.close()  # the server knows of the one inside alone

            def log_message(self, *_: object) -> None:
                pass

        return Handler
