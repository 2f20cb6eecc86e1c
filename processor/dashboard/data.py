"""What the pages and the API tell, as plain values: from the board, and from Kafka where whole bytes are wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from processor.core.forecast import forecast
from processor.core.outcomes import STANDINGS, arrival_name
from processor.core.pace import Account, Limits, quota_left
from processor.dashboard.app import Board
from processor.dashboard.totals import MINUTE_MS
from processor.dashboard.view import View, hash_of
from processor.ops.dead_letters import Entry, Wanted, get_entries, list_entries
from processor.ops.groups import members
from schemas.codec import decode_job
from schemas.identity import Key
from schemas.kafka.reading import read_record
from schemas.records import Arrival
from schemas.runtime.errors import BadRecord, MailonceError
from schemas.runtime.settings import Settings

__all__ = ["Data"]

T = TypeVar("T")

MINUTES_SHOWN = 60
LIMIT = 500


class _Cached:
    """The last answer, for a while: pages are asked more often than things change."""

    def __init__(self, ask: Callable[[], Awaitable[Any]], keep_s: float) -> None:
        self._ask = ask
        self._keep_s = keep_s
        self._until_s = 0.0
        self._answer: Any = None
        self._lock = asyncio.Lock()

    async def get(self) -> Any:
        async with self._lock:
            if time.monotonic() >= self._until_s:
                self._answer = await self._ask()
                self._until_s = time.monotonic() + self._keep_s
            return self._answer


class Data:
    """Reads only."""

    def __init__(self, settings: Settings, board: Board, account: Callable[[], Awaitable[Account | None]]) -> None:
        self.settings = settings
        self.board = board
        self._account = _Cached(account, 30)
        self._members = _Cached(self._ask_members, 5)

    async def _ask_members(self) -> list[dict[str, Any]]:
        try:
            found = await asyncio.to_thread(members, self.settings, self.settings.group_id, 0.0)
        except MailonceError:
            return []
        return [msgspec.to_builtins(member) for member in found]

    def months(self) -> list[dict[str, Any]]:
        """Every month with jobs, newest first."""
        found = self.board.totals.months
        return [
            {
                "month": name,
                "jobs": totals.standings.total(),
                **{s: totals.standings[s] for s in STANDINGS},
                "delivered": totals.arrivals[Arrival.DELIVERED.value],
            }
            for name, totals in sorted(found.items(), reverse=True)
            if totals.standings.total()
        ]

    async def month(self, month: str) -> dict[str, Any]:
        totals = self.board.totals.months.get(month)
        account: Account | None = await self._account.get()
        standings = {name: totals.standings[name] if totals else 0 for name in STANDINGS}
        now = int(time.time() * 1000) // MINUTE_MS
        minutes = totals.sent_by_minute if totals else {}
        last = max((minute for minute, count in minutes.items() if count), default=now)
        end = now if now - last < MINUTES_SHOWN else last
        return {
            "month": month,
            "jobs": sum(standings.values()),
            **standings,
            "share_done": 1 - standings["pending"] / max(1, sum(standings.values())),
            "sent_per_minute": [
                {"at": _iso(minute * MINUTE_MS), "mails": minutes.get(minute, 0)}
                for minute in range(end - MINUTES_SHOWN + 1, end + 1)
            ],
            "sent_last_minute": minutes.get(now, 0) + minutes.get(now - 1, 0),
            "pending_by_partition": {str(p): n for p, n in sorted(totals.lag.items()) if n} if totals else {},
            "dead_by_reason": dict(totals.reasons.most_common()) if totals else {},
            "feedback": {name: many for name, many in totals.feedback.items() if many} if totals else {},
            "arrivals": {name: totals.arrivals[name] if totals else 0 for name in map(arrival_name, Arrival)},
            "duplicates": totals.duplicates if totals else 0,
            "processors": await self._members.get(),
            "last_seen": {name: _iso(at_ms) for name, at_ms in totals.instances.items() if at_ms} if totals else {},
            **self._limits(account, standings["pending"]),
            "behind": self.board.why_not_ready(),
        }

    def _limits(self, account: Account | None, pending: int) -> dict[str, Any]:
        if account is None:
            return {"allowed_per_s": None, "quota_left": None, "expected_end": None}
        found = forecast(pending, account, Limits.of(self.settings))
        seconds = found.seconds if pending else None
        left = quota_left(account, self.settings.quota_reserve) if account.max_24_hour_send >= 0 else None
        return {
            "allowed_per_s": found.rate or None,
            "quota_left": None if left is None else int(left),
            "expected_end": seconds and (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds"),
        }

    async def mail(self, month: str, user: str, *, unmasked: bool = False) -> dict[str, Any] | None:
        try:
            key = Key(user, month)
        except ValueError:
            return None
        view = self.board.view(key.to_bytes())
        if view is None:
            return None
        about = _mail(key.to_bytes(), view) | {
            "entries": [
                {"at": _iso(entry.at_ms), **msgspec.structs.asdict(entry)}
                for entry in sorted(view.entries, key=lambda entry: entry.at_ms)
            ],
            "duplicates": view.duplicates,
        }
        if unmasked:
            about["address"] = await asyncio.to_thread(self._address, view) or about["address"]
        return about

    def _address(self, view: View) -> str | None:
        """The whole address, from the job itself: the table holds none."""
        record = read_record(self.settings, self.settings.topics.jobs, view.mail.job_partition, view.mail.job_offset)
        try:
            return decode_job(record.key, record.value or b"").email if record else None
        except BadRecord:
            return None

    async def find(self, text: str) -> list[dict[str, Any]]:
        """Mails of a user id, of an address, or of an address's hash; newest month first."""
        text = text.strip()
        wanted = hash_of(text) if "@" in text else text.lower()
        keys = (
            [Key(text, month).to_bytes() for month in self.board.totals.months] if 0 < len(text.encode()) < 190 else []
        )
        found = {key: view for key in keys if (view := self.board.view(key)) is not None}
        if not found:
            found = {key: view for key, view in self.board.views() if view.address_hash == wanted}
        return [_mail(key, view) for key, view in sorted(found.items(), key=_by_month, reverse=True)][:LIMIT]

    def uncertain(self, month: str) -> list[dict[str, Any]]:
        totals = self.board.totals.months.get(month)
        keys = sorted(totals.uncertain)[:LIMIT] if totals else []
        return [_mail(key, view) for key in keys if (view := self.board.view(key)) is not None]

    async def dead_letters(self, wanted: Wanted) -> dict[str, Any]:
        """Newest first, at most `LIMIT`; counts are of all."""
        entries: list[Entry] = await asyncio.to_thread(lambda: list(list_entries(self.settings, wanted)))
        entries.sort(key=lambda entry: entry.letter.at_ms, reverse=True)
        counts: dict[str, int] = {}
        for entry in entries:
            counts[entry.letter.reason] = counts.get(entry.letter.reason, 0) + 1
        shown = [entry.to_dict() | {"at": _iso(entry.letter.at_ms)} for entry in entries[:LIMIT]]
        return {"count": len(entries), "by_reason": counts, "letters": shown}

    async def dead_letter(self, place: str) -> dict[str, Any]:
        """With its bytes. Raises `UsageError` when there is none."""
        (entry,) = await asyncio.to_thread(get_entries, self.settings, [place])
        return entry.to_dict(whole=True) | {"at": _iso(entry.letter.at_ms)}


def _mail(key: bytes, view: View) -> dict[str, Any]:
    user, _, month = key.decode(errors="replace").rpartition(":")
    mail = view.mail
    return {
        "user_id": user,
        "month": month,
        "outcome": mail.standing,
        "reason": mail.reason,
        "since": _iso(mail.at_ms) if mail.at_ms else None,
        "address": view.address,
        "address_hash": view.address_hash,
        "template": view.template,
        "attempt": mail.attempt,
        "message_id": mail.message_id,
        "feedback": mail.feedback.value if mail.feedback else None,
        "arrival": mail.arrival.value if mail.arrival else None,
    }


def _by_month(item: tuple[bytes, View]) -> str:
    return item[0].decode(errors="replace").rpartition(":")[2]


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
