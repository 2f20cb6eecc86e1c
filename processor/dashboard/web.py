"""The pages and their JSON, on aiohttp."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from processor.core.outcomes import STANDINGS
from processor.dashboard.auth import Auth
from processor.dashboard.chart import bars
from processor.dashboard.data import Data
from processor.dashboard.openapi import document
from processor.ops.dead_letters import Wanted, parse_place
from schemas.identity import check_month
from schemas.runtime.errors import MailonceError, UsageError

__all__ = ["make_web"]

_HERE = Path(__file__).parent
LIVE_EVERY_S = 1.0
HEARTBEAT_S = 15.0


class Pages:
    """Each page and its JSON tell the same."""

    def __init__(self, data: Data, auth: Auth, registry: CollectorRegistry) -> None:
        self.data = data
        self.auth = auth
        self._registry = registry
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["n"] = lambda number: f"{number:,}"
        self._templates.filters["q"] = lambda text: quote(str(text), safe="")

    def routes(self) -> list[web.RouteDef]:
        get = web.get
        return [
            get("/", self.home),
            get("/month/{month}", self.month),
            get("/month/{month}/now", self.month_now),
            get("/mail", self.search),
            get("/mail/{month}/{user}", self.mail),
            get("/dead-letters", self.dead_letters),
            get("/dead-letters/{place}", self.dead_letter),
            get("/uncertain", self.uncertain),
            get("/login", self.login_page),
            web.post("/login", self.log_in),
            get("/healthz", self.healthy),
            get("/readyz", self.ready),
            get("/metrics", self.metrics),
            get("/api/months", self.api(self._months)),
            get("/api/month/{month}", self.api(self._month)),
            get("/api/mail", self.api(self._find)),
            get("/api/mail/{month}/{user}", self.api(self._mail)),
            get("/api/dead-letters", self.api(self._dead_letters)),
            get("/api/dead-letters/{place}", self.api(self._dead_letter)),
            get("/api/uncertain/{month}", self.api(self._uncertain)),
            get("/api/live/{month}", self.live),
            get("/api/openapi.json", self.openapi),
        ]

    def page(self, request: web.Request, name: str, status: int = 200, **values: Any) -> web.Response:
        shown = {
            "standings": STANDINGS,
            "months": [month["month"] for month in self.data.months()],
            "may_change": self.auth.may_change,
            "csrf": self.auth.csrf(request),
            "user": self.auth.user(request),
            "behind": self.data.board.why_not_ready(),
            "path": request.path,
        }
        text = self._templates.get_template(name).render(shown | values)
        return web.Response(text=text, content_type="text/html", status=status)

    # ---- what both tell ----

    async def _months(self, _request: web.Request) -> Any:
        return self.data.months()

    async def _month(self, request: web.Request) -> Any:
        return await self.data.month(_month_of(request.match_info["month"]))

    async def _find(self, request: web.Request) -> Any:
        return await self.data.find(request.query.get("q", ""))

    async def _mail(self, request: web.Request) -> Any:
        month, user = _month_of(request.match_info["month"]), request.match_info["user"]
        found = await self.data.mail(month, user, unmasked=request.query.get("unmasked") == "1")
        if found is None:
            raise web.HTTPNotFound(text=f"nothing is known of a mail to {user} in {month}\n")
        return found

    def wanted(self, query: Any) -> Wanted:
        month = query.get("month")
        return Wanted(
            month=_month_of(month) if month else None,
            reason=query.get("reason") or None,
            user=query.get("user") or None,
            state=query.get("state") or None,
        )

    async def _dead_letters(self, request: web.Request) -> Any:
        return await self.data.dead_letters(self.wanted(request.query))

    async def _dead_letter(self, request: web.Request) -> Any:
        place = request.match_info["place"]
        try:
            parse_place(place)
            return await self.data.dead_letter(place)
        except UsageError as error:
            raise web.HTTPNotFound(text=f"{error}\n") from None

    async def _uncertain(self, request: web.Request) -> Any:
        return self.data.uncertain(_month_of(request.match_info["month"]))

    def api(self, tell: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response(await tell(request))

        return answer

    # ---- pages ----

    async def home(self, _request: web.Request) -> web.Response:
        months = self.data.months()
        if not months:
            return self.page(_request, "empty.html")
        raise web.HTTPSeeOther(f"/month/{months[0]['month']}")

    async def month(self, request: web.Request) -> web.Response:
        return self.page(request, "month.html", **_chart(await self._month(request)))

    async def month_now(self, request: web.Request) -> web.Response:
        """The part of the month's page that changes."""
        return self.page(request, "month_now.html", **_chart(await self._month(request)))

    async def search(self, request: web.Request) -> web.Response:
        found = await self._find(request) if request.query.get("q") else []
        if len(found) == 1:
            raise web.HTTPSeeOther(f"/mail/{found[0]['month']}/{quote(found[0]['user_id'], safe='')}")
        return self.page(request, "search.html", found=found, q=request.query.get("q", ""))

    async def mail(self, request: web.Request) -> web.Response:
        return self.page(request, "mail.html", mail=await self._mail(request))

    async def dead_letters(self, request: web.Request) -> web.Response:
        found = await self._dead_letters(request)
        query = {name: request.query.get(name, "") for name in ("month", "reason", "state", "user")}
        return self.page(request, "dead_letters.html", found=found, query=query)

    async def dead_letter(self, request: web.Request) -> web.Response:
        return self.page(request, "dead_letter.html", letter=await self._dead_letter(request))

    async def uncertain(self, request: web.Request) -> web.Response:
        months = self.data.months()
        month = request.query.get("month") or (months[0]["month"] if months else "")
        found = self.data.uncertain(_month_of(month)) if month else []
        return self.page(request, "uncertain.html", month=month, found=found)

    # ---- login ----

    async def login_page(self, request: web.Request) -> web.Response:
        return self.page(request, "login.html", wrong=False)

    async def log_in(self, request: web.Request) -> web.Response:
        form = await request.post()
        if not self.auth.token_is(str(form.get("token", ""))):
            await asyncio.sleep(0.5)  # a guess costs something
            return self.page(request, "login.html", status=401, wrong=True)
        response = web.HTTPSeeOther("/")
        self.auth.log_in(response, secure=request.secure)
        return response

    # ---- for machines ----

    async def healthy(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(self, _request: web.Request) -> web.Response:
        problem = self.data.board.why_not_ready()
        return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        body = await asyncio.to_thread(generate_latest, self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(self, _request: web.Request) -> web.Response:
        return web.json_response(document())

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the month's numbers, each time something changed."""
        month = _month_of(request.match_info["month"])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        seen, quiet_s = -1, 0.0
        try:
            while True:
                if self.data.board.changes != seen:
                    seen, quiet_s = self.data.board.changes, 0.0
                    text = json.dumps(await self.data.month(month))
                    await response.write(f"event: month\ndata: {text}\n\n".encode())
                elif quiet_s >= HEARTBEAT_S:
                    quiet_s = 0.0
                    await response.write(b": still here\n\n")
                await asyncio.sleep(LIVE_EVERY_S)
                quiet_s += LIVE_EVERY_S
        except (ConnectionResetError, asyncio.CancelledError):
            return response


def _month_of(text: str) -> str:
    try:
        return check_month(text)
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None


def _chart(month: dict[str, Any]) -> dict[str, Any]:
    allowed = month["allowed_per_s"]
    return {"m": month, "chart": bars(month["sent_per_minute"], allowed and allowed * 60)}


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """A known error becomes a sentence and a status."""
    try:
        return await handler(request)  # type: ignore[no-any-return]
    except UsageError as error:
        return web.Response(text=f"{error}\n", status=400)
    except MailonceError as error:
        return web.Response(text=f"{error}\n", status=503)


def make_web(pages: Pages, more: list[web.RouteDef]) -> web.Application:
    """The web application; `more` are the routes that change something."""
    app = web.Application(middlewares=[pages.auth.guard, _errors], client_max_size=1 << 20)
    app.add_routes([*pages.routes(), *more])
    app.router.add_static("/static", _HERE / "static")
    return app
