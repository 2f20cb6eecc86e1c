"""Who may look, and who may change something.

On loopback without a token anybody on this machine may look, and nobody may change anything. With a token everybody has
to give it: as ``Authorization: Bearer``, or once on the login page. A reverse proxy's header names a user it let in;
it is believed only when the setting says so. Changes need a token, and a proof that the page itself asked for them.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web

from schemas.runtime.errors import UsageError
from schemas.runtime.settings import Settings

__all__ = ["Auth", "is_loopback"]

COOKIE = "mailonce"
SESSION_S = 12 * 3600
_OPEN = {"/login", "/healthz", "/readyz"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    # "no-referrer" would also make a form's Origin "null".
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Auth:
    """Raises `UsageError` for an address that all the world could reach without a password."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.dashboard_token.get_secret_value()
        self._header = settings.dashboard_user_header
        self._local = is_loopback(settings.dashboard_host)
        if not self._local and not self._token and not self._header:
            raise UsageError(
                f"the dashboard would be open to everybody who reaches {settings.dashboard_host}: set "
                f"MAILONCE_DASHBOARD_TOKEN, or MAILONCE_DASHBOARD_USER_HEADER behind a reverse proxy"
            )
        # A cookie proves that the token was known; it is not the token.
        self._key = hashlib.sha256(f"mailonce dashboard\0{self._token}".encode()).digest()

    @property
    def may_change(self) -> bool:
        return bool(self._token)

    def token_is(self, given: str) -> bool:
        return bool(self._token) and hmac.compare_digest(given.encode(), self._token.encode())

    def session(self) -> str:
        """A new cookie."""
        nonce = secrets.token_urlsafe(18)
        return f"{nonce}.{self._sign('session', nonce)}"

    def csrf(self, request: web.Request) -> str:
        """What a form of this visitor's pages carries."""
        return self._sign("form", request.cookies.get(COOKIE, "") + self.user(request))

    def _sign(self, what: str, text: str) -> str:
        return hmac.new(self._key, f"{what}\0{text}".encode(), hashlib.sha256).hexdigest()

    def user(self, request: web.Request) -> str:
        """Whom the proxy let in; empty without one."""
        return request.headers.get(self._header, "")[:200] if self._header else ""

    def _let_in(self, request: web.Request) -> bool:
        if self._header and self.user(request):
            return True
        if not self._token:
            return self._local and not self._header
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.token_is(given):
            return True
        nonce, _, signature = request.cookies.get(COOKIE, "").partition(".")
        return bool(nonce) and hmac.compare_digest(signature, self._sign("session", nonce))

    def check_change(self, request: web.Request, form_token: str) -> None:
        """Raises 403 unless a page of ours asked, for somebody who may."""
        if not self.may_change:
            raise web.HTTPForbidden(text="nothing can be changed from here: MAILONCE_DASHBOARD_TOKEN is not set\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("Host"):
            raise web.HTTPForbidden(text="another site asked for this\n")
        if not hmac.compare_digest(form_token, self.csrf(request)):
            raise web.HTTPForbidden(text="this form is not from here, or too old: go back and load the page again\n")

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every request passes here."""
        host = request.headers.get("Host", "").rpartition(":")[0] or request.headers.get("Host", "")
        if self._local and not self._token and not is_loopback(host.strip("[]")):
            # A page of another site whose name was made to point here.
            raise web.HTTPForbidden(text="this dashboard answers to localhost only\n")
        if request.path not in _OPEN and not request.path.startswith("/static/") and not self._let_in(request):
            if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
                raise web.HTTPSeeOther("/login")
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"}, text="a token is needed\n")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def log_in(self, response: web.StreamResponse, *, secure: bool) -> None:
        response.set_cookie(
            COOKIE, self.session(), max_age=SESSION_S, httponly=True, samesite="Strict", secure=secure, path="/"
        )
