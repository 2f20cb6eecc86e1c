"""Each class of SES's answers, through a real processor: what follows is what the table says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from schemas.records import Outcome
from tests.support.groups import shares
from tests.support.world import World, job, wait_for

FAST_RETRY = json.dumps(
    {
        "throttled": {"interval_s": 0.05, "max_attempts": 3, "max_delay_s": 0.2},
        "unreachable": {"interval_s": 0.05, "max_attempts": 3, "max_delay_s": 0.2},
    }
)


@pytest.mark.parametrize(("fault", "reason"), [("reject", "message-rejected"), ("bad_request", "bad-request")])
def test_refused_messages_are_dead_lettered(world: World, fault: str, reason: str) -> None:
    """Refused, this message: dead letter with the original bytes; the others go out."""
    world.sandbox.fault(fault, address="bad*")
    world.publish(job(f"{'bad' if n % 5 == 0 else 'u'}{n}") for n in range(20))
    world.drain()
    audit = world.audit()
    audit.check()
    assert (audit.count(Outcome.DEAD), audit.count(Outcome.SENT)) == (4, 16)
    assert {letter.reason for _, letter in audit.dead_letters} == {reason}
    assert len(audit.dead_letters) == 4


def test_throttled_calls_are_retried(world: World) -> None:
    """Refused for now: back-off under the same intent, then accepted; nothing is dead-lettered."""
    world.sandbox.fault("throttle", probability=0.4, seed=3)
    world.publish(job(f"u{n}") for n in range(60))
    world.drain(MAILONCE_RETRY='{"throttled": {"interval_s": 0.05, "max_attempts": 30, "max_delay_s": 0.2}}')
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 60
    assert max(delivery.tries for delivery in audit.outcomes.values()) > 1


def test_retries_have_an_end(world: World) -> None:
    """Throttled for ever: dead-lettered after max_attempts, with the count."""
    world.sandbox.fault("throttle", address="slow*")
    world.publish([job("slow1"), job("u1")])
    world.drain(MAILONCE_RETRY=FAST_RETRY)
    audit = world.audit()
    audit.check()
    ((_, letter),) = audit.dead_letters
    assert (letter.reason, letter.tries) == ("retries-exhausted-throttled", 3)
    assert audit.count(Outcome.SENT) == 1


def test_an_unreachable_ses_is_waited_for(world: World) -> None:
    """Nothing was written: more tries than a mail has, and none dies or is in doubt of it; it is said."""
    world.publish(job(f"u{n}") for n in range(8))
    process = world.processor("p1", AWS_ENDPOINT_URL_SESV2="http://127.0.0.1:1", MAILONCE_RETRY=FAST_RETRY)
    wait_for(lambda: process.says("ses does not answer"), "the word for an outage")
    wait_for(
        lambda: sum(entry["event"] == "not called" for entry in process.events()) > 9,
        "three times as many tries as a mail has",
    )
    assert process.terminate() == 0
    assert world.deliveries() == {}
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 8


def test_what_one_mail_alone_names_is_its_own_fault(world: World) -> None:
    """Its template is not there, or its recipient's identity is forbidden, and others go out: dead, and the month goes on."""
    denied = {"status": 403, "code": "AccessDenied", "message": "not authorized to perform ses:SendEmail"}
    world.sandbox.fault("answer", address="denied*", **denied)
    # Some of the others' answers come after theirs: both are among the first, and the rate stretches the rest.
    world.sandbox.set(max_send_rate=10)
    astray = msgspec.structs.replace(job("astray"), template="welcome")
    world.publish([job("denied"), astray, *(job(f"u{n}") for n in range(40))])
    world.drain()
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 40
    assert {letter.reason for _, letter in audit.dead_letters} == {"not-authorized", "template-missing"}


@pytest.mark.parametrize(
    "fault",
    [
        "accept_drop",
        *(
            pytest.param(f, marks=pytest.mark.long)  # each has its case in the sender's contract suite
            for f in ("error_500", "error_503", "drop", "accept_hang", "accept_500", "accept_garble", "accept_empty")
        ),
    ],
)
def test_lost_answers_are_uncertain_and_never_repeated(world: World, fault: str) -> None:
    """G1, G2: doubt is held and visible; whether SES took it or not, there is no second call."""
    world.sandbox.fault(fault, address="doubt*")
    world.publish(job(f"{'doubt' if n % 4 == 0 else 'u'}{n}") for n in range(12))
    world.drain(**({"MAILONCE_SES_READ_TIMEOUT_S": "5"} if fault == "accept_hang" else {}))
    world.sandbox.clear_faults()
    world.drain("again")
    audit = world.audit()
    audit.check(uncertain_max=3)
    assert (audit.count(Outcome.UNCERTAIN), audit.count(Outcome.SENT)) == (3, 9)
    doubtful = [key for key, delivery in audit.outcomes.items() if delivery.outcome is Outcome.UNCERTAIN]
    assert all(key.user_id.startswith("doubt") for key in doubtful)
    assert {audit.accepted[key] for key in doubtful} == {int(fault.startswith("accept"))}
    assert not audit.dead_letters


@pytest.mark.parametrize(
    ("fault", "says"),
    [("paused", "sending-paused"), pytest.param("suspended", "account-suspended", marks=pytest.mark.long)],
)
def test_refusals_of_every_message_halt(world: World, fault: str, says: str) -> None:
    """Every message would be refused: non-zero exit, clear error, claims released, nothing dead-lettered."""
    world.sandbox.fault(fault)
    world.publish(job(f"u{n}") for n in range(20))
    process = world.processor("p1")
    assert process.wait() == 4
    halted = [entry for entry in process.events() if entry.get("event") == "halted"]
    assert halted[0]["reason"] == says
    assert world.dead_letters() == []
    assert world.deliveries() == {}
    # Nothing was claimed away: once the cause is gone, all go out.
    world.sandbox.clear_faults()
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 20


def test_a_missing_template_halts(world: World) -> None:
    """A run-wide mistake must not become a thousand dead letters."""
    world.ses().delete_email_template(TemplateName="monthly-usage")
    world.publish(job(f"u{n}") for n in range(5))
    process = world.processor("p1")
    assert process.wait() == 4
    assert "has no template 'monthly-usage'" in process.log.read_text()
    assert world.dead_letters() == []


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("MAILONCE_FROM_ADDRESS", "us@stranger.example.org", "not verified"),
        ("MAILONCE_CONFIGURATION_SET", "none", "no configuration set"),
    ],
)
def test_wrong_run_constants_halt(world: World, setting: str, value: str, says: str) -> None:
    """An unverified sender or a missing configuration set would refuse every message."""
    world.publish([job("u1")])
    process = world.processor("p1", **{setting: value})
    assert process.wait() == 4
    assert says in process.log.read_text()
    assert world.sandbox.accepted_count() == 0


def test_a_disabled_account_halts(world: World) -> None:
    """GetAccount says so before the first call."""
    world.sandbox.set(sending_enabled=False)
    world.publish([job("u1")])
    assert world.processor("p1").wait() == 4
    assert world.deliveries() == {}


def test_without_quota_the_processor_waits_and_goes_on(world: World) -> None:
    """No quota left: no dead letter, no exit; sending resumes when the rolling window has room."""
    world.sandbox.set(max_24_hour_send=10, quota_window_s=6)
    world.publish(job(f"u{n}") for n in range(25))
    process = world.processor("p1", drain=True, MAILONCE_ACCOUNT_REFRESH_S="0.5")
    wait_for(lambda: process.says("quota used up"), "the quota's end")
    assert process.running
    assert process.wait() == 0
    assert process.says("quota available again")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 25
    times = sorted(mail.at_ms for mail in world.sandbox.accepted())
    assert all(times[n + 10] - times[n] >= 5_800 for n in range(15)), "more than ten in a window"


@pytest.mark.long  # the budget's contract suite shares it too
def test_two_processors_share_the_quota(world: World) -> None:
    """Neither knows what the other sends, the group does: SES never has to refuse, and it says until when they wait."""
    # In production the group's window is ten minutes longer than SES's; a mail takes its time from lease to SES.
    world.sandbox.set(max_24_hour_send=30, quota_window_s=5)
    settings = {"MAILONCE_ACCOUNT_REFRESH_S": "600", "MAILONCE_QUOTA_WINDOW_S": "15"}
    one, two = (world.processor(name, **settings) for name in ("p1", "p2"))
    wait_for(
        lambda: shares(world.settings) == [2, 2], "two partitions each: then both have more than half of the quota"
    )
    world.publish(job(f"u{n}") for n in range(50))
    wait_for(lambda: sum(map(len, world.deliveries().values())) >= 50, "all outcomes")
    assert (one.terminate(), two.terminate()) == (0, 0)
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 50
    assert world.sandbox.refused() == {}
    waits = [entry for process in (one, two) for entry in process.events() if entry["event"] == "quota used up"]
    assert waits
    for wait in waits:
        until = datetime.strptime(wait["until"], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
        # No longer than the window; a line may be written late.
        assert -30 <= (until - datetime.fromisoformat(wait["timestamp"])).total_seconds() <= 16


def test_quota_refused_by_ses_itself(world: World) -> None:
    """GetAccount may lag: SES's own refusal pauses as well, whatever its code."""
    world.sandbox.fault("quota", count=5)
    world.publish(job(f"u{n}") for n in range(20))
    process = world.processor("p1", drain=True, MAILONCE_ACCOUNT_REFRESH_S="0.5")
    assert process.wait() == 0
    assert process.says("quota used up")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 20


def test_the_rate_is_respected(world: World) -> None:
    """The account's rate, shared by two processors: SES hardly ever has to refuse."""
    world.sandbox.set(max_send_rate=40)
    world.publish(job(f"u{n}") for n in range(160))
    one, two = (world.processor(name, drain=True) for name in ("p1", "p2"))
    assert (one.wait(), two.wait()) == (0, 0)
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 160
    times = sorted(mail.at_ms for mail in world.sandbox.accepted())
    assert (times[-1] - times[0]) / 1000 >= (160 - 40) / 40
    throttled = sum(entry.get("error_class") == "throttled" for p in (one, two) for entry in p.events())
    assert throttled <= 8


def test_the_breaker_halts(world: World) -> None:
    """A bad month is not poured away: after a run of dead letters the processor halts; the rest stays pending."""
    world.sandbox.fault("reject")
    world.publish(job(f"u{n}") for n in range(100))
    process = world.processor("p1", MAILONCE_BREAKER_CONSECUTIVE="10", MAILONCE_CALLS_AT_ONCE="2")
    assert process.wait() == 4
    dead = len(world.dead_letters())
    assert 10 <= dead <= 14
    world.sandbox.clear_faults()
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert (audit.count(Outcome.DEAD), audit.count(Outcome.SENT)) == (dead, 100 - dead)


def test_suppressed_addresses_are_not_called_for(world: World) -> None:
    """The account's list is read at start; its addresses end as suppressed."""
    ses = world.ses()
    ses.put_suppressed_destination(EmailAddress="u1@mail.example.net", Reason="COMPLAINT")
    try:
        world.publish(job(f"u{n}") for n in range(3))
        world.drain()
    finally:
        ses.delete_suppressed_destination(EmailAddress="u1@mail.example.net")
    audit = world.audit()
    audit.check()
    assert (audit.count(Outcome.SUPPRESSED), audit.count(Outcome.SENT)) == (1, 2)


def test_an_endpoint_without_reads_is_worked_with(world: World) -> None:
    """Other emulators lack read calls: a warning, never a reason not to send."""
    world.sandbox.set(missing_reads=True)
    world.publish(job(f"u{n}") for n in range(3))
    process = world.drain()
    warned = {entry["call"] for entry in process.events() if entry.get("event") == "ses read call missing"}
    assert {"list_suppressed_destinations", "get_email_identity"} <= warned
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 3
