"""What people do from a page: requeue, discard, resolve. The same code as the commands, after a confirmation that names
the count, recorded with who."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from aiohttp import web

from processor.adapters.control import read_control
from processor.adapters.redis import RedisDedup, connect
from processor.core.requeue import Requeued
from processor.dashboard.web import Pages
from processor.ops.dead_letters import OPEN, Entry, Wanted, get_entries, list_entries
from processor.ops.requeue import discard, look, requeue
from processor.ops.uncertain import Decision, Resolution, resolve, uncertain_of
from processor.recovery.part import refuse_foreign
from schemas.identity import Key, check_month
from schemas.records import Requeue
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import UsageError
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["Actions"]

log = get_log()

SHOWN_WITHIN_S = 3.0

_FIELDS = ("place", "month", "reason", "user", "as", "why", "who")


@dataclass(frozen=True, slots=True)
class Step:
    """What would happen, and how to make it happen."""

    what: str
    """in words, with the count"""
    count: int
    notes: list[str]
    go: Callable[[], Awaitable[None]]
    back: str
    folded: bool = True
    """whether the board will show a change"""


class Actions:
    """Three forms, each asked for twice."""

    def __init__(self, pages: Pages, settings: Settings, now_ms: Callable[[], int]) -> None:
        self._pages = pages
        self._settings = settings
        self._now_ms = now_ms

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/act/requeue", self._handler(self._requeue)),
            web.post("/act/discard", self._handler(self._discard)),
            web.post("/act/resolve", self._handler(self._resolve)),
        ]

    def _handler(
        self, prepare: Callable[[Mapping[str, str], str], Awaitable[Step]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            form = {name: str(value) for name, value in (await request.post()).items()}
            self._pages.auth.check_change(request, form.get("csrf", ""))
            who = self._pages.auth.user(request) or form.get("who", "").strip()[:200]
            asked = {name: form.get(name, "").strip() for name in _FIELDS}
            step = await prepare(asked, who or "dashboard")
            if form.get("confirm") == str(step.count) and step.count and who:
                changes = self._pages.data.board.changes
                await step.go()
                await self._until_shown(changes, step)
                log.info(Event.CHANGED_FROM_A_PAGE, what=step.what, count=step.count, who=who)
                raise web.HTTPSeeOther(step.back)
            changed = "confirm" in form and form["confirm"] != str(step.count)
            fields = {name: value for name, value in asked.items() if value and name not in {"who", "why"}}
            return self._pages.page(
                request,
                "confirm.html",
                step=step,
                fields=fields,
                why=asked["why"],
                who=who,
                changed=changed,
                nameless="confirm" in form and not who,
            )

        return handle

    async def _until_shown(self, changes: int, step: Step) -> None:
        """The page that follows should show what was done; the board needs a moment to read it."""
        deadline = time.monotonic() + SHOWN_WITHIN_S
        while step.folded and self._pages.data.board.changes == changes and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    async def _letters(self, asked: Mapping[str, str]) -> list[Entry]:
        if asked["place"]:
            return await asyncio.to_thread(get_entries, self._settings, [asked["place"]])
        if not (asked["month"] or asked["reason"]):
            raise UsageError("choose letters by their month or reason")
        month = _month(asked["month"]) if asked["month"] else None
        wanted = Wanted(month=month, reason=asked["reason"] or None, state=OPEN)
        return await asyncio.to_thread(lambda: list(list_entries(self._settings, wanted)))

    async def _requeue(self, asked: Mapping[str, str], who: str) -> Step:
        entries = await self._letters(asked)
        note = Requeue(times=0, place="", who=who, why=asked["why"], at_ms=self._now_ms())
        decided = await asyncio.to_thread(look, self._settings, entries, note)
        count = sum(isinstance(one.follows, Requeued) for one in decided)
        refused = [f"{one.entry.place}: {one.follows.why}" for one in decided if not isinstance(one.follows, Requeued)]

        async def go() -> None:
            await asyncio.to_thread(lambda: list(requeue(self._settings, decided, note)))

        return Step(f"Send {count:,} dead letters back to the jobs topic", count, refused[:50], go, _back(asked))

    async def _discard(self, asked: Mapping[str, str], who: str) -> Step:
        entries = [entry for entry in await self._letters(asked) if entry.state == OPEN]

        async def go() -> None:
            await asyncio.to_thread(lambda: list(discard(self._settings, entries, who, asked["why"], self._now_ms())))

        what = f"Mark {len(entries):,} dead letters as discarded"
        return Step(what, len(entries), ["They stay where they are."], go, _back(asked), folded=False)

    async def _resolve(self, asked: Mapping[str, str], who: str) -> Step:
        try:
            resolution = Resolution(asked["as"])
        except ValueError:
            raise UsageError("resolve as sent, dead or resend") from None
        month = _month(asked["month"])
        found = await asyncio.to_thread(lambda: list(uncertain_of(self._settings, month, decided=bool(asked["user"]))))
        if asked["user"]:
            key = Key(asked["user"], month)
            found = [mail for mail in found if mail.key == key]
        if not asked["why"]:
            raise UsageError("say why: it is kept with the record")

        async def go() -> None:
            client = connect(self._settings)
            try:
                decision = Decision(resolution, who, asked["why"], self._now_ms())
                dedup = RedisDedup.of(self._settings, client)
                await refuse_foreign(self._settings, dedup, await in_thread(read_control, self._settings))
                await resolve(self._settings, dedup, found, decision, version("mailonce"))
            finally:
                await client.aclose()

        what = {
            Resolution.SENT: "as sent: you know that SES accepted them",
            Resolution.DEAD: "as dead: they are not sent again",
            Resolution.RESEND: "to be sent again: SES is called once more for each",
        }[resolution]
        notes = ["A resend is the one way to send twice."] if resolution is Resolution.RESEND else []
        return Step(f"Resolve {len(found):,} mails in doubt {what}", len(found), notes, go, f"/uncertain?month={month}")


def _month(text: str) -> str:
    try:
        return check_month(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _back(asked: Mapping[str, str]) -> str:
    return f"/dead-letters?month={asked['month']}" if asked["month"] else "/dead-letters"
