"""The dashboard's pure parts: the fold, the counts, the chart, and who may do what."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from processor.core.control import Control
from processor.core.months import Months
from processor.core.outcomes import PENDING
from processor.dashboard.app import Board, _until_taken
from processor.dashboard.auth import COOKIE, Auth, is_loopback
from processor.dashboard.chart import HEIGHT, bars
from processor.dashboard.openapi import document
from processor.dashboard.totals import MINUTE_MS, Totals
from processor.dashboard.view import ENTRIES_MAX, View, apply, hash_of, pack, unpack
from schemas.codec import MOVED_HEADER, REQUEUE_HEADER, dead_letter_headers, encode
from schemas.control import ControlRecord, MonthOpened
from schemas.kafka.reading import Record
from schemas.partitions import partition_of
from schemas.records import Arrival, Attempt, DeadLetter, Delivery, Feedback, Outcome, Requeue, Resend, Source
from schemas.runtime.errors import UsageError
from schemas.runtime.settings import Settings, load_settings
from tests.support.world import MONTH, job

KEY = f"u1:{MONTH}".encode()
SOURCE = Source("jobs", 0, 0, 10)


def record(offset: int, value: msgspec.Struct | bytes | None, headers: Any = (), key: bytes | None = KEY) -> Record:
    raw = encode(value) if isinstance(value, msgspec.Struct) else value
    return Record(0, offset, key, raw, list(headers), 10 + offset)


def delivery(outcome: Outcome, **about: Any) -> Delivery:
    return Delivery(outcome=outcome, at_ms=90_000, source=SOURCE, instance="p1", **about)


def attempt(**about: Any) -> Attempt:
    return Attempt(attempt="a1", intended_at_ms=20, instance="p1", source=SOURCE, fingerprint="f", **about)


def send(message_id: str) -> bytes:
    return msgspec.json.encode({"eventType": "Send", "mail": {"messageId": message_id}})


LETTER = DeadLetter(
    reason="bounced", detail="no such user", at_ms=50, source=SOURCE, instance="p1", processor_version="1"
)
STORY = [
    ("jobs", record(0, job("u1", email="Anna@b.de"))),
    ("attempts", record(0, attempt())),
    ("deliveries", record(0, delivery(Outcome.UNCERTAIN, reason="answer-lost"))),
    ("events", record(0, send("m1"))),
    ("deliveries", record(1, delivery(Outcome.SENT, message_id="m1"))),
    ("dead-letters", record(0, None, dead_letter_headers([], LETTER))),
    ("deliveries", record(2, delivery(Outcome.SENT, message_id="m1", feedback=Feedback.BOUNCED))),
]


def told(story: list[tuple[str, Record]]) -> View:
    view: View | None = None
    for kind, one in story:
        view = apply(view, kind, one)
    assert view is not None
    return view


def test_a_mails_story() -> None:
    """Every record is a line; the address is kept masked and as a hash."""
    view = told(STORY)
    assert [(entry.kind, entry.what) for entry in view.entries] == [
        ("job", "published"),
        ("intent", "intended"),
        ("outcome", "uncertain"),
        ("event", "Send"),
        ("outcome", "sent"),
        ("dead letter", "bounced"),
        ("outcome", "sent"),
    ]
    assert (view.address, view.address_hash) == ("An***@b.de", hash_of(" anna@B.de "))
    assert (view.mail.standing, view.duplicates, view.sent_at_ms) == ("sent", 0, 90_000)
    assert unpack(pack(view)) == view
    assert b"Anna@b.de" not in pack(view)


@given(st.lists(st.integers(0, len(STORY) - 1), max_size=30), st.randoms(use_true_random=False))
@hypothesis_settings(max_examples=200)
def test_topics_come_in_any_order_and_again(repeats: list[int], random: Any) -> None:
    """Faust reads topics side by side, and a part of them again after a restart: the view is the same in the end."""
    topics: dict[str, list[Record]] = {}
    for kind, one in STORY:
        topics.setdefault(kind, []).append(one)
    mixed: list[tuple[str, Record]] = []
    left = {kind: list(records) for kind, records in topics.items()}
    while left:
        kind = random.choice(sorted(left))
        mixed.append((kind, left[kind].pop(0)))
        if not left[kind]:
            del left[kind]
    # A restart reads a topic again from somewhere it has been before.
    for index in repeats:
        kind, one = STORY[index]
        mixed += [(kind, again) for again in topics[kind][topics[kind].index(one) :]]
    view, plain = told(mixed), told(STORY)
    assert view.mail == plain.mail
    assert sorted(map(msgspec.json.encode, view.entries)) == sorted(map(msgspec.json.encode, plain.entries))
    assert (view.accepted, view.seen) == (plain.accepted, plain.seen)


def test_how_far_a_mail_came_is_the_same_in_any_order() -> None:
    """SES's events may come before the ledger's entry, doubled and late; after a resend the second message counts."""
    sent = delivery(Outcome.SENT, message_id="m1")
    bounced = {"eventType": "Bounce", "mail": {"messageId": "m1"}, "bounce": {"bounceType": "Transient"}}
    gone = {"eventType": "Delivery", "mail": {"messageId": "m1"}, "delivery": {}}
    story = [
        ("jobs", record(0, job("u1"))),
        ("deliveries", record(0, sent)),
        ("events", raw_event(0, bounced)),
        ("events", raw_event(1, gone)),
        ("events", raw_event(2, bounced)),
    ]
    views = [told(order) for order in (story, story[2:] + story[:2], story[:1] + story[2:] + story[1:2])]
    assert {view.mail.arrival for view in views} == {Arrival.DELIVERED}
    assert unpack(pack(views[1])) == views[1]
    totals = Totals()
    totals.change(KEY, None, views[0])
    assert totals.months[MONTH].arrivals["delivered"] == 1
    again = told([*story, ("deliveries", record(1, delivery(Outcome.SENT, message_id="m2")))])
    assert again.mail.arrival is None
    assert told([("events", Record(0, 0, KEY, b"{}", [], 1))]).entries[0].what == "unreadable"


def raw_event(offset: int, event: dict[str, Any]) -> Record:
    return Record(0, offset, KEY, msgspec.json.encode(event), [], offset)


def test_a_job_where_its_key_does_not_belong_says_nothing_of_the_mail() -> None:
    """G2: it is newer than the one that was cancelled, and the mail would wait for ever."""
    story = [("jobs", record(0, job("u1"))), ("deliveries", record(0, delivery(Outcome.CANCELLED)))]
    view = told(story)
    stray = Record(3, 7, KEY, encode(job("u1", email="else@b.de")), [], 99)
    after = apply(view, "jobs", stray, misplaced=True)
    assert after is not None
    assert (after.mail, after.address) == (view.mail, view.address)
    assert after.entries[-1].what == "wrong-partition"
    assert apply(after, "jobs", stray, misplaced=True) is after, "seen"
    waiting = apply(view, "jobs", stray)
    assert waiting is not None
    assert waiting.mail.standing == PENDING


class _Event:
    """As Faust hands on a record of the jobs topic."""

    def __init__(self, partition: int, offset: int, user: str) -> None:
        key, value = f"{user}:{MONTH}".encode(), encode(job(user))
        self.message = SimpleNamespace(
            topic="jobs", partition=partition, offset=offset, key=key, value=value, headers=(), timestamp=offset + 1.0
        )


async def test_a_board_knows_how_a_month_was_opened() -> None:
    """Its jobs are looked up before they are folded."""
    control, asked = Control(), []
    control.take(ControlRecord(0, "month", MONTH, MonthOpened(month=MONTH, partitions=2)), 0.0)

    def opened(months: set[str]) -> Months:
        asked.append(months)
        return Months(control)

    board = Board({}, opened)
    belongs = partition_of(KEY, 2)
    events: Any = [_Event(belongs, 0, "u1"), _Event(2, 5, "u1"), _Event(2, 6, "u2")]
    await _until_taken(board, "jobs", events)
    assert asked == [{MONTH}]
    assert board.totals.months[MONTH].lag == {belongs: 1}
    await Board({}).look_up(events)


def test_two_acceptances_are_a_duplicate_unless_somebody_allowed_it() -> None:
    """Two Send events for one key; the same event twice is one."""
    twice = told([*STORY, ("events", record(1, send("m1"))), ("events", record(2, send("m2")))])
    assert twice.duplicates == 1
    resend = Resend("a1", "ops", "asked", 1)
    allowed = told([*STORY, ("attempts", record(1, attempt(resend=resend))), ("events", record(2, send("m2")))])
    assert allowed.duplicates == 0
    assert ("intent", "intended again") in [(entry.kind, entry.what) for entry in allowed.entries]
    withdrawn = told([*STORY, ("attempts", record(1, attempt(resend=resend, withdrawn=True)))])
    assert withdrawn.resends == 0


def test_who_is_forgotten_leaves_nothing_behind() -> None:
    """A tombstone of the job takes the address, one of the ledger the whole story; a moved letter is one letter."""
    cancelled = told([*STORY, ("jobs", record(1, None))])
    assert (cancelled.address, cancelled.address_hash) == ("", "")
    gone = told([*STORY, ("deliveries", record(3, None))])
    assert (gone.entries, gone.mail, gone.accepted) == ([], View().mail, [])
    headers = [*dead_letter_headers([], LETTER), (MOVED_HEADER, b"0:0")]
    moved = told([*STORY, ("dead-letters", record(9, None, headers))])
    assert [entry.place for entry in moved.entries if entry.kind == "dead letter"] == ["0:9"]


def test_what_cannot_be_read_is_shown_and_breaks_nothing() -> None:
    """Junk in any topic; a key that is none is no mail."""
    view = told([(kind, record(0, b"junk")) for kind in ("jobs", "attempts", "deliveries", "dead-letters", "events")])
    assert [entry.what for entry in view.entries] == ["unreadable"] * 5
    assert apply(None, "jobs", record(0, b"x", key=b"none")) is None


def test_tombstones_requeues_and_a_long_story() -> None:
    """A cancellation, a letter that came back, and no more lines than a page can hold."""
    back = (REQUEUE_HEADER, encode(Requeue(times=1, place="0:1", who="ops", why="mended")))
    view = told([("jobs", record(0, job("u1"))), ("jobs", record(1, None)), ("jobs", record(2, job("u1"), [back]))])
    assert [(entry.what, entry.by) for entry in view.entries] == [
        ("published", ""),
        ("cancelled", ""),
        ("requeued", "ops"),
    ]
    long = told([("events", record(n, send("m"))) for n in range(ENTRIES_MAX + 9)])
    assert len(long.entries) == ENTRIES_MAX


def test_totals_follow_every_change() -> None:
    """What a month counts is what its views say, however they got there."""
    totals, view = Totals(), None
    for kind, one in STORY:
        after = apply(view, kind, one)
        totals.change(KEY, view, after)
        view = after
    month = totals.months[MONTH]
    assert +month.standings == {"sent": 1}
    assert +month.sent_by_minute == {90_000 // MINUTE_MS: 1}
    assert +month.feedback == {"bounced": 1}
    assert (+month.lag, month.uncertain, month.duplicates) == ({}, set(), 0)
    fresh = Totals()
    fresh.change(KEY, None, view)
    assert +fresh.months[MONTH].standings == +month.standings


def test_totals_of_waiting_dead_and_doubtful_mails() -> None:
    """The lag by partition, the reasons, the doubts; an event of a mail nobody published is not a job."""
    totals = Totals()
    waiting = told([("jobs", record(0, job("u1")))])
    dead = told([("deliveries", record(0, delivery(Outcome.DEAD, reason="bad-address")))])
    doubt = told([("deliveries", record(0, delivery(Outcome.UNCERTAIN)))])
    for number, view in enumerate((waiting, dead, doubt, told([("events", record(0, send("m")))]))):
        totals.change(f"u{number}:{MONTH}".encode(), None, view)
    month = totals.months[MONTH]
    assert +month.standings == {"pending": 1, "dead": 1, "uncertain": 1}
    assert (+month.lag, +month.reasons) == ({0: 1}, {"bad-address": 1})
    assert month.uncertain == {f"u2:{MONTH}".encode()}
    assert month.instances == {"p1": 90_000}


def test_the_chart_fits_its_picture() -> None:
    """The highest bar and the allowed rate lie inside; a limit far above is left out."""
    minutes = [{"at": f"2026-11-01T08:0{n}:00Z", "mails": n * 100} for n in range(5)]
    chart = bars(minutes, 600)
    assert max(bar["height"] for bar in chart["bars"]) < HEIGHT
    assert 0 < chart["line"] < HEIGHT
    assert bars(minutes, 10_000)["line"] is None
    assert bars(minutes, None)["line"] is None
    assert bars([], None)["bars"] == []


def own(**about: Any) -> Settings:
    return load_settings(**about)


def request(auth: Auth, cookie: str = "", **headers: str) -> web.Request:
    names = {"Host": "127.0.0.1:8600"} | {name.replace("_", "-"): value for name, value in headers.items()}
    if cookie:
        names["Cookie"] = f"{COOKIE}={cookie}"
    return make_mocked_request("GET", "/", headers=names)


async def visit(auth: Auth, asked: web.Request) -> int:
    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    try:
        return (await auth.guard(asked, page)).status
    except web.HTTPException as error:
        return error.status


def test_an_address_for_all_the_world_needs_a_password() -> None:
    """Safe by default."""
    with pytest.raises(UsageError, match="open to everybody"):
        Auth(own(dashboard_host="0.0.0.0"))
    Auth(own(dashboard_host="0.0.0.0", dashboard_token="t"))
    Auth(own(dashboard_host="0.0.0.0", dashboard_user_header="X-Forwarded-User"))
    assert [is_loopback(host) for host in ("localhost", "127.0.0.9", "::1", "10.0.0.1", "mail.example")] == [
        True,
        True,
        True,
        False,
        False,
    ]


async def test_loopback_is_for_this_machine_only() -> None:
    """Without a token everybody here may look; a name that was made to point here is refused (DNS rebinding)."""
    auth = Auth(own())
    assert await visit(auth, request(auth)) == 200
    assert await visit(auth, request(auth, Host="evil.example:8600")) == 403
    assert await visit(auth, request(auth, Host="[::1]:8600")) == 200
    with pytest.raises(web.HTTPForbidden):
        auth.check_change(request(auth), auth.csrf(request(auth)))


async def test_a_token_is_asked_for() -> None:
    """As a bearer, or by the cookie that the login page gives; a browser is led to that page."""
    auth = Auth(own(dashboard_token="secret"))
    assert await visit(auth, request(auth)) == 401
    assert await visit(auth, request(auth, Accept="text/html")) == 303
    assert await visit(auth, request(auth, Authorization="Bearer wrong")) == 401
    assert await visit(auth, request(auth, Authorization="Bearer secret")) == 200
    assert await visit(auth, request(auth, cookie=auth.session())) == 200
    assert await visit(auth, request(auth, cookie="nonce.forged")) == 401
    assert await visit(auth, request(auth, cookie=Auth(own(dashboard_token="other")).session())) == 401
    assert "secret" not in auth.session()


async def test_a_proxys_header_is_believed_only_when_told_so() -> None:
    """It names who acts."""
    plain = Auth(own(dashboard_token="secret"))
    assert await visit(plain, request(plain, X_Forwarded_User="ann")) == 401
    auth = Auth(own(dashboard_user_header="X-Forwarded-User"))
    assert await visit(auth, request(auth)) == 401
    asked = request(auth, X_Forwarded_User="ann")
    assert await visit(auth, asked) == 200
    assert auth.user(asked) == "ann"


def test_changes_need_a_form_of_ours() -> None:
    """CSRF: another visitor's form, another site, and none at all."""
    auth = Auth(own(dashboard_token="secret"))
    mine = request(auth, cookie=auth.session(), Origin="http://127.0.0.1:8600")
    auth.check_change(mine, auth.csrf(mine))
    for asked, token in (
        (mine, ""),
        (mine, auth.csrf(request(auth, cookie=auth.session()))),
        (request(auth, cookie=mine.cookies[COOKIE], Origin="https://evil.example"), auth.csrf(mine)),
    ):
        with pytest.raises(web.HTTPForbidden):
            auth.check_change(asked, token)


def test_the_api_is_described() -> None:
    """Each path of the API has its words; the version is there."""
    paths = document()["paths"]
    assert {path for path in paths if path.startswith("/api/")} == set(paths)
    assert all(operation["get"]["summary"] for operation in paths.values())


def test_kafkas_security_for_faust() -> None:
    """The same settings as everybody else's; what Faust has no word for is refused by name."""

    from processor.dashboard.app import _credentials as credentials  # Faust: slow to import

    def _credentials(options: dict[str, str], auth: str = "options") -> Any:
        return credentials(load_settings(kafka_auth=auth).model_copy(update={"kafka_options": options}))

    assert _credentials({}) is None
    with pytest.raises(UsageError, match="cannot log in by msk-iam"):
        _credentials({}, "msk-iam")
    scram = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u"}
    assert _credentials(scram | {"sasl.password": "p"}).username == "u"
    assert _credentials({"security.protocol": "SSL"}).context is not None
    with pytest.raises(UsageError, match="OAUTHBEARER"):
        _credentials({"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"})
