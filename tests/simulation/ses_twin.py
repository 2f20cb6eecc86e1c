"""SES: its record of accepted messages is the sole judge; and SQS, which holds what SES tells of them.

A request that left travels by itself. SES looks at the signature's age when it arrives, by its own clock, then takes
or refuses it; whatever it answers may be lost on the way back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from processor.core.answers import Accepted, Answer, NotWritten, ServiceError, Unanswered
from processor.core.pace import Account
from processor.evidence.queue import QueueMessage
from processor.ports import Clock, Forbidden
from schemas.identity import Key, Place, read_place, read_tags
from schemas.runtime.errors import SesAway
from schemas.templates.template import Needs
from tests.simulation.loop import OWNER
from tests.simulation.net import Lost, Net

__all__ = ["Message", "Ses", "SimSender", "Sqs"]

SIGNATURE_S = 11.0
READ_TIMEOUT_S = 2.0
VISIBILITY_S = 5.0
RECEIVE_MAX = 100


class Message(NamedTuple):
    """One accepted message."""

    id: str
    at_s: float
    key: Key
    attempt: str
    place: Place


@dataclass
class Ses:
    """The service. Faults set what it does next; by default it takes everything."""

    net: Net
    sqs: Sqs
    wall_ms: Callable[[], int]
    accepted: list[Message] = field(default_factory=list)
    begun: list[tuple[float, Key, str, Place, str]] = field(default_factory=list)
    """every request that left: when, whose, which attempt, for which record, by which process"""
    in_flight: dict[str, Key] = field(default_factory=dict)
    """attempts whose call has begun and whose process has not heard the answer"""
    answered: dict[str, float] = field(default_factory=dict)
    """attempts whose process has heard the answer, and when"""
    refuses: set[str] = field(default_factory=set)
    """users whose mail it refuses for its content"""
    denies: set[str] = field(default_factory=set)
    """users to whom this role may not write"""
    bounces: set[str] = field(default_factory=set)
    """users whose address takes no mail"""
    drops: set[str] = field(default_factory=set)
    """users whose mail it accepts and then cannot fill in"""
    delivers: bool = False
    """whether it tells of deliveries"""
    paused: bool = False
    paused_in_words: bool = False
    """the account is, and only the refusal's text says so"""
    needs: Needs = field(default_factory=Needs)
    """what every template needs"""
    tells_nothing: bool = False
    """whether it tells of no template now"""
    quota: float = -1.0
    quota_s: float = 20.0
    fate: Callable[[], str] = lambda: ""
    """what becomes of the next request: nothing special, or the name of a refusal"""
    tells: Callable[[], list[float]] = lambda: [0.3]
    """after how many seconds each copy of an event comes"""

    def account(self) -> Account:
        since = self.net.now_s() - self.quota_s
        lately = sum(message.at_s > since for message in self.accepted)
        return Account(-1.0, self.quota, float(lately), not self.paused)

    def take(self, request: Mapping[str, Any], signed_ms: int, fate: str) -> Answer:
        """Carries one request out, at the moment it arrives."""
        tags = {tag["Name"]: tag["Value"] for tag in request["EmailTags"]}
        found = read_tags(tags)
        assert found is not None
        key, attempt = found
        if abs(self.wall_ms() - signed_ms) > SIGNATURE_S * 1000:
            return ServiceError(403, "InvalidSignatureException", "Signature expired")
        if self.paused:
            return ServiceError(400, "SendingPausedException", "sending is paused")
        if self.paused_in_words:
            return ServiceError(400, "MessageRejected", "Sending paused for this account.")
        if key.user_id in self.denies:
            return ServiceError(403, "AccessDeniedException", f"not authorized: identity/{request['Destination']}")
        if fate == "throttled":
            return ServiceError(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
        if fate == "broken":
            return ServiceError(500, "InternalFailure", "")
        if 0 <= self.quota <= self.account().sent_last_24_hours:
            return ServiceError(400, "LimitExceededException", "Daily message quota exceeded.")
        if key.user_id in self.refuses:
            return ServiceError(400, "MessageRejected", "content")
        message = Message(f"ses{len(self.accepted) + 1}", self.net.now_s(), key, attempt, read_place(tags))
        self.accepted.append(message)
        self.net.history.note("ses", "ACCEPTED", key, attempt, message.id)
        self._tell(message, tags)
        return ServiceError(500, "InternalFailure", "after all") if fate == "broken after" else Accepted(message.id)

    def _tell(self, message: Message, tags: dict[str, str]) -> None:
        dropped = message.key.user_id in self.drops
        body: dict[str, Any] = {
            "eventType": "Rendering Failure" if dropped else "Send",
            "mail": {
                "messageId": message.id,
                "destination": [f"{message.key.user_id}@mail.example.net"],
                "timestamp": datetime.fromtimestamp(self.wall_ms() / 1000, UTC).isoformat(),
                "tags": {name: [value] for name, value in tags.items()},
            },
        }
        if dropped:
            body["failure"] = {"errorMessage": "an attribute is missing", "templateName": "t"}
        for delay_s in self.tells():
            self.sqs.put_later(delay_s, msgspec.json.encode(body))
        if self.delivers and not dropped and message.key.user_id not in self.bounces:
            self.sqs.put_later(1.0, msgspec.json.encode(body | {"eventType": "Delivery", "delivery": {}}))
        if message.key.user_id in self.bounces:
            address = f"{message.key.user_id}@mail.example.net"
            about = {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": address}]}
            self.sqs.put_later(1.0, msgspec.json.encode(body | {"eventType": "Bounce", "bounce": about}))


class Sqs:
    """At least once, in any order, invisible for a while once it was received."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._messages: dict[str, tuple[bytes, float]] = {}
        self._count = 0
        self.coming = 0
        """events that are on their way from SES"""

    def put(self, body: bytes) -> None:
        self._count += 1
        self._messages[str(self._count)] = (body, 0.0)

    def hide(self, seconds: float) -> None:
        """Somebody has received everything there is, and does not delete it."""
        self._messages = {name: (body, self._net.now_s() + seconds) for name, (body, _) in self._messages.items()}

    def __len__(self) -> int:
        return len(self._messages)

    def put_later(self, delay_s: float, body: bytes) -> None:
        def come() -> None:
            self.coming -= 1
            self.put(body)

        self.coming += 1
        self._net.later(delay_s, come)

    @property
    def empty(self) -> bool:
        return not self._messages

    def is_empty(self) -> Any:
        return self._is_empty()

    async def _is_empty(self) -> bool:
        return bool(await self._net.ask("sqs.is_empty", lambda: self.empty, usual_s=0.01, timeout_s=5))

    def receive(self, wait_s: int) -> Any:
        """As `processor.evidence.queue.EventQueue`; the loop awaits what stands for a call that blocks."""
        return self._receive(wait_s)

    async def _receive(self, wait_s: int) -> list[QueueMessage]:
        until_s = self._net.now_s() + min(wait_s, 2.0)
        while not (found := self._visible()) and self._net.now_s() < until_s:
            await asyncio.sleep(0.5)
        for message in found:
            self._messages[message.receipt] = (message.body, self._net.now_s() + VISIBILITY_S)
        if found:
            self._net.history.note(self._net.who(), "sqs.receive", len(found))
        return found

    def _visible(self) -> list[QueueMessage]:
        now = self._net.now_s()
        found = [QueueMessage(body, name) for name, (body, at) in self._messages.items() if at <= now]
        return found[:RECEIVE_MAX]

    def delete(self, messages: list[QueueMessage]) -> Any:
        return self._delete([message.receipt for message in messages])

    async def _delete(self, receipts: list[str]) -> None:
        await self._net.ask(
            "sqs.delete", lambda: [self._messages.pop(r, None) for r in receipts], usual_s=0.01, timeout_s=5
        )


class SimSender:
    """The port `Sender`: one request a call, signed by the process's clock, begun before its deadline or not at all."""

    def __init__(self, ses: Ses, clock: Clock) -> None:
        self._ses = ses
        self._net = ses.net
        self._clock = clock

    async def send(self, request: Mapping[str, Any], forbidden: Forbidden) -> Answer:
        tags = {tag["Name"]: tag["Value"] for tag in request["EmailTags"]}
        found = read_tags(tags)
        assert found is not None
        key, attempt = found
        owner = OWNER.get()
        fate = self._ses.fate()
        signed_ms = self._clock.now_ms()
        await asyncio.sleep(self._net.latency_s(0.001))
        if fate == "unreachable":
            return NotWritten("unreachable", "connection refused")
        if why := forbidden():
            return NotWritten("forbidden", why)
        if owner is not None:
            self._net.on_step(owner, "ses.checked")
            while not owner.running:
                await asyncio.sleep(0)
        # From here on the bytes are on their way; a process that stands still before this line begins later.
        self._ses.in_flight[attempt] = key
        self._ses.begun.append((self._net.now_s(), key, attempt, read_place(tags), self._net.who()))
        self._net.history.note(self._net.who(), "ses.send", key, attempt, read_place(tags).to_tag(), fate)
        try:
            answer = await self._net.ask(
                f"ses.send {fate}".rstrip(),
                lambda: self._ses.take(request, signed_ms, fate),
                usual_s=0.03,
                timeout_s=READ_TIMEOUT_S,
            )
        except Lost:
            answer = Unanswered("ReadTimeoutError", "no answer")
        self._ses.in_flight.pop(attempt, None)
        self._ses.answered[attempt] = self._net.now_s()
        self._net.history.note(self._net.who(), "ses.answer", key, attempt, answer)
        return answer  # type: ignore[no-any-return]

    async def account(self) -> Account:
        while True:
            try:
                return await self._net.ask("ses.account", self._ses.account, usual_s=0.03, timeout_s=READ_TIMEOUT_S)  # type: ignore[no-any-return]
            except Lost:
                continue

    async def template_needs(self, name: str) -> Needs:
        if self._ses.tells_nothing:
            raise SesAway("SES does not tell what a template needs")
        return self._ses.needs
