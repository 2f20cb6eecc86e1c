"""The scripts on a real server make exactly the changes that the table names: every state against every script."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import uuid4

import pytest
import redis.asyncio
from msgspec.structs import replace

from processor.adapters.redis import RedisDedup, RedisPace, Under, check_server
from processor.core.adoption import take_over
from processor.core.claims import Restored
from processor.core.standing import nobodys
from processor.core.states import ABSENT, TRANSITIONS, Change, Claim, State
from processor.ports import BelowFloor, Item, Lease, NotWhole, RebuildLost, ServerSeen
from schemas.identity import Key
from schemas.runtime.errors import ADOPTING, RedisUnavailable, RedisUntrusted
from tests.contracts.conftest import make_whole

KEY = Key("team:x/ü", "2026-11")
MINE = Item(KEY, attempt="mine", partition=1, offset=10, message_id="m1", fingerprint="f")
OLD = 1  # milliseconds since 1970: any lifetime has passed
FUTURE = 99_999_999_999_999

START = {
    State.ABSENT: ABSENT,
    State.SENDING: Claim(State.SENDING, attempt="mine", since_ms=FUTURE),
    State.BARRED: Claim(State.BARRED, attempt="mine", since_ms=FUTURE),
    State.SENT: Claim(State.SENT, message_id="m1", fingerprint="f"),
    State.SENT_RECORDED: Claim(State.SENT_RECORDED, fingerprint="f"),
    State.UNCERTAIN: Claim(State.UNCERTAIN, attempt="mine"),
    State.UNCERTAIN_RECORDED: Claim(State.UNCERTAIN_RECORDED, attempt="mine"),
    State.DROPPED: Claim(State.DROPPED, attempt="mine"),
    State.CLOSED: Claim(State.CLOSED, partition=1, offset=9),
}


async def put(dedup: RedisDedup, claim: Claim) -> None:
    await dedup.poke(KEY, claim)  # type: ignore[attr-defined]


async def restore(dedup: RedisDedup, *known: Restored) -> None:
    assert await dedup.lock_rebuild("mine", 30)
    await dedup.restore(known, "mine", 30)
    await dedup.unlock_rebuild("mine")


async def state(dedup: RedisDedup) -> State:
    claim = await dedup.peek(KEY)
    assert claim is not None
    return claim.state


async def adopted(dedup: RedisDedup) -> None:
    """As an adoption does for a key of which the ledger knew nothing."""
    (before,) = await dedup.peek_all([KEY])
    assert await dedup.lock_rebuild("adopting", 30)
    await dedup.adopt([(KEY, before, take_over(before, ABSENT).claim)], "adopting", 30)
    await dedup.unlock_rebuild("adopting")


SCRIPTS = {
    Change.RELEASE: lambda dedup: dedup.release([MINE]),
    Change.ANSWER_LOST: lambda dedup: dedup.note_uncertain([MINE]),
    Change.REFUSED: lambda dedup: dedup.note_refused([MINE]),
    Change.BAR: lambda dedup: dedup.refuse([MINE]),
    Change.DROP: lambda dedup: dedup.drop([MINE]),
    Change.RECORD_DROP: lambda dedup: dedup.record_drop([MINE]),
    Change.SENT: lambda dedup: dedup.note_sent([MINE]),
    Change.CLOSE: lambda dedup: dedup.close([MINE]),
    Change.RECORD_SENT: lambda dedup: dedup.record_sent([MINE]),
    Change.RECORD_DOUBT: lambda dedup: dedup.record_uncertain([MINE]),
    Change.ADOPT: lambda dedup: adopted(dedup),
}


@pytest.mark.parametrize(("before", "change"), list(itertools.product(State, SCRIPTS)), ids=str)
async def test_scripts_agree_with_the_table(dedup: RedisDedup, before: State, change: Change) -> None:
    """G1: a script makes the change the table has, and none where the table has none."""
    await put(dedup, START[before])
    await SCRIPTS[change](dedup)
    assert await state(dedup) is TRANSITIONS.get((before, change), before)


@pytest.mark.parametrize("before", list(State))
async def test_claims_agree_with_the_table(dedup: RedisDedup, before: State) -> None:
    """G1: only absent keys, my own attempt and older closed records are granted."""
    await put(dedup, START[before])
    claim = (await dedup.claim([MINE]))[0]
    granted = claim.state is State.SENDING and claim.attempt == "mine"
    assert granted == any((before, c) in TRANSITIONS for c in (Change.CLAIM, Change.RECLAIM, Change.CLAIM_NEWER))
    assert await dedup.peek(KEY) == claim


async def test_foreign_attempts_are_not_mine_to_end(dedup: RedisDedup) -> None:
    """G1: a zombie neither frees nor spoils its successor's claim."""
    foreign = Claim(State.SENDING, attempt="other", since_ms=FUTURE)
    await put(dedup, foreign)
    await dedup.release([MINE])
    await dedup.note_uncertain([MINE])
    await dedup.close([MINE])
    await dedup.record_uncertain([MINE])
    assert await dedup.claim([MINE]) == [foreign]
    assert await dedup.refuse([MINE]) == [foreign]
    assert await dedup.cancel([MINE]) == [foreign]


@pytest.mark.parametrize(
    "change", [Change.RELEASE, Change.ANSWER_LOST, Change.REFUSED, Change.CLOSE, Change.RECORD_DOUBT]
)
async def test_what_frees_or_lowers_does_so_in_a_whole_set_alone(dedup: RedisDedup, change: Change) -> None:
    """G1: a set without marker, of another lineage, or that was loaded from an older dump may hold what came since."""
    mine = Claim(State.SENDING, attempt="mine", since_ms=FUTURE)
    for before in (mine, ABSENT):
        await put(dedup, before)
        for spoil, mend in (
            (dedup.unset_whole, lambda: marked(dedup)),
            (lambda: under(dedup, "another"), lambda: under(dedup, "")),
        ):
            await spoil()
            with pytest.raises(NotWhole):
                await SCRIPTS[change](dedup)
            assert await dedup.peek_all([KEY]) == [before]
            await mend()


async def marked(dedup: RedisDedup) -> None:
    assert await dedup.lock_rebuild("t", 30)
    assert await dedup.set_whole("t")


async def under(dedup: RedisDedup, lineage: str) -> None:
    dedup.under = lambda: Under("", lineage)


async def test_an_expired_claim_becomes_uncertain(dedup: RedisDedup) -> None:
    """G1: after its lifetime an attempt is doubt, never free; by any script that looks."""
    for look in (dedup.claim, dedup.refuse, dedup.cancel):
        await put(dedup, Claim(State.SENDING, attempt="other", since_ms=OLD))
        assert await look([MINE]) == [Claim(State.UNCERTAIN, attempt="other")]


async def test_a_claim_lives_its_lifetime(dedup: RedisDedup) -> None:
    """G1: the server's own clock measures it."""
    await dedup.claim([replace(MINE, attempt="other")])
    assert (await dedup.claim([MINE]))[0].state is State.SENDING
    dedup._lifetime_ms = 50
    while (found := await dedup.claim([MINE]))[0].state is State.SENDING:
        await asyncio.sleep(0.01)
    assert found == [Claim(State.UNCERTAIN, attempt="other")]


async def test_a_second_acceptance_is_seen(dedup: RedisDedup) -> None:
    """G1: if SES ever accepts twice, somebody is told, and the first message id stays."""
    first = Claim(State.SENT, message_id="m1", fingerprint="f")
    assert await dedup.note_sent([MINE]) == [first]
    assert await dedup.note_sent([MINE]) == [first], "an answer that got lost may be asked for again"
    assert await dedup.note_sent([replace(MINE, message_id="m2")]) == [first]
    assert await dedup.record_sent([MINE]) == [Claim(State.SENT_RECORDED, fingerprint="f")]
    assert await dedup.note_sent([replace(MINE, message_id="m2")]) == [Claim(State.SENT_RECORDED, fingerprint="f")]


async def test_what_went_out_keeps_its_content(dedup: RedisDedup) -> None:
    """G6: whoever records it may have read a corrected record; SES's own form of message ids is kept, whatever it is."""
    for message_id in ("0100019abc1b2c3d-4e5f6071-8293-a4b5-c6d7-e8f90123abcd-000000", "0100019abc", "a:b", "m1"):
        await put(dedup, ABSENT)
        sent = Claim(State.SENT, message_id=message_id, fingerprint="0123456789")
        mine = replace(MINE, message_id=message_id, fingerprint="0123456789")
        assert await dedup.note_sent([mine]) == [sent]
        assert await dedup.note_sent([replace(mine, fingerprint="abcdefabcd")]) == [sent]
        assert await dedup.claim([replace(MINE, offset=11, fingerprint="abcdefabcd")]) == [sent]
        assert await dedup.drop([replace(mine, message_id="another")]) == [sent]
        assert await dedup.peek(KEY) == sent
        assert await dedup.drop([mine]) == [sent]
        assert await state(dedup) is State.DROPPED


async def test_what_version_0_1_wrote_is_read(redis_dedup: RedisDedup) -> None:
    """A rolling update: its marks name the message alone, whole."""
    message_id = "0100019abc1b2c3d-4e5f6071-8293-a4b5-c6d7-e8f90123abcd-000000"
    for word, after in (("another", State.SENT), (message_id, State.DROPPED)):
        await redis_dedup._client.hset(redis_dedup._bucket(KEY), KEY.user_id, f"S{message_id}")
        assert await redis_dedup.peek(KEY) == Claim(State.SENT, message_id=message_id)
        await redis_dedup.drop([replace(MINE, message_id=word)])
        assert await state(redis_dedup) is after


async def test_evidence_is_a_fact(dedup: RedisDedup) -> None:
    """G1: an acceptance proved by SES's event stands over anything that knows less, and says what stood there."""
    for before in State:
        await put(dedup, START[before])
        assert await dedup.prove([replace(MINE, message_id="m9")]) == [START[before]]
        after = await dedup.peek(KEY)
        assert after is not None
        known = {State.SENT: "m1", State.SENT_RECORDED: "", State.DROPPED: ""}
        assert after.message_id == known.get(before, "m9")
    await put(dedup, START[State.SENT])
    assert await dedup.note_uncertain([MINE]) == [START[State.SENT]]


@pytest.mark.parametrize("before", list(State))
async def test_resends_agree_with_the_table(dedup: RedisDedup, before: State) -> None:
    """G1: a leave that names the attempt opens doubt and what SES dropped, and nothing that another holds or has sent."""
    await put(dedup, START[before])
    (claim,) = await dedup.claim([replace(MINE, attempt="new", overrides="mine", offset=0)])
    assert (claim.attempt == "new") == ((before, Change.RESEND) in TRANSITIONS or before is State.ABSENT)


async def test_a_resend_is_used_once(dedup: RedisDedup) -> None:
    """G1: the leave names the attempt that it overrides; whatever came of the new one, it opens nothing again."""
    again = replace(MINE, attempt="new", offset=20, overrides="mine")
    doubt = Claim(State.UNCERTAIN_RECORDED, attempt="mine")
    await put(dedup, doubt)
    assert await dedup.claim([replace(again, overrides="")]) == [doubt]
    assert await dedup.claim([replace(again, overrides="other")]) == [doubt]
    assert (await dedup.claim([again]))[0].attempt == "new"
    for after in (
        Claim(State.UNCERTAIN, attempt="new"),
        Claim(State.UNCERTAIN_RECORDED, attempt="new"),
        Claim(State.SENT, message_id="m2"),
        Claim(State.SENT_RECORDED, fingerprint="f", attempt="new"),
        Claim(State.DROPPED, attempt="new"),
    ):
        await put(dedup, after)
        assert await dedup.claim([replace(again, attempt="third")]) == [after]


async def test_an_expired_attempt_may_be_overridden_at_once(dedup: RedisDedup) -> None:
    """A resend need not wait for anybody to have looked; before the lifetime has passed it gets nothing."""
    again = replace(MINE, attempt="new", overrides="mine")
    await put(dedup, Claim(State.SENDING, attempt="mine", since_ms=OLD))
    assert (await dedup.claim([again]))[0].attempt == "new"
    await put(dedup, START[State.SENDING])
    assert await dedup.claim([again]) == [START[State.SENDING]]


async def test_word_about_one_attempt_changes_nothing_of_another(dedup: RedisDedup) -> None:
    """G1: after a resend, a late or repeated Rendering Failure of the first message is not taken for the second's."""
    for after in (
        Claim(State.SENDING, attempt="new", since_ms=FUTURE),
        Claim(State.SENT, message_id="m2"),
        Claim(State.SENT_RECORDED, fingerprint="f", attempt="new"),
        Claim(State.UNCERTAIN, attempt="new"),
        Claim(State.DROPPED, attempt="new"),
    ):
        await put(dedup, after)
        assert await dedup.drop([MINE]) == [after]
        assert await dedup.peek(KEY) == after


@pytest.mark.parametrize("state", [State.SENDING, State.UNCERTAIN, State.UNCERTAIN_RECORDED])
async def test_a_drop_tells_which_of_several_intents_was_called_for(dedup: RedisDedup, state: State) -> None:
    """G4: a rebuild restored them as nobody's; SES's word ends the doubt as it would end one attempt's."""
    held = Claim(state, attempt="~mine~other", since_ms=FUTURE if state is State.SENDING else 0)
    await put(dedup, held)
    await dedup.drop([replace(MINE, attempt="third", message_id="m3")])
    assert await dedup.peek(KEY) == held
    await dedup.drop([MINE])
    assert await dedup.peek(KEY) == Claim(State.DROPPED, attempt="mine", message_id="m1")


async def test_what_was_dropped_stays_dropped(dedup: RedisDedup) -> None:
    """G2: our own answer, slower than SES's event, does not make it sent again."""
    dropped = Claim(State.DROPPED, attempt="mine", message_id="m1")
    await dedup.drop([MINE])
    assert await dedup.note_sent([MINE]) == [dropped]
    assert await dedup.record_sent([MINE]) == [dropped]
    assert await dedup.prove([MINE]) == [dropped]
    assert await dedup.peek(KEY) == dropped
    await dedup.record_drop([MINE])
    await dedup.drop([MINE])
    assert await dedup.peek(KEY) == Claim(State.DROPPED, attempt="mine"), "the ledger needs no message id any more"
    resent = replace(MINE, attempt="new", overrides="mine", message_id="m2")
    await dedup.claim([resent])
    await dedup.note_sent([resent])
    assert await dedup.record_sent([resent]) == [Claim(State.SENT_RECORDED, fingerprint="f", attempt="new")]


async def test_events_count_once_and_the_feed_is_alive(dedup: RedisDedup) -> None:
    """Repetitions are known; the feed's latest sending time never goes back."""
    notes = [("2026-11", "Bounce:m1"), ("2026-11", "Bounce:m2")]
    assert await dedup.noted(notes) == [False, False]
    await dedup.note(notes[:1])
    assert await dedup.noted(notes) == [True, False]
    assert await dedup.noted([]) == []
    assert await dedup.feed_alive_ms() == 0
    assert await dedup.feed_alive_ms(1_795_563_387_360) == 1_795_563_387_360
    assert await dedup.feed_alive_ms(5) == 1_795_563_387_360


def sending(*names: str, since_ms: int = 0) -> Claim:
    return Claim(State.SENDING, attempt=names[0] if len(names) == 1 else nobodys(names), since_ms=since_ms)


async def attempt_of(dedup: RedisDedup) -> str:
    claim = await dedup.peek(KEY)
    assert claim is not None
    assert claim.state is State.SENDING
    return claim.attempt


async def test_a_rebuild_knows_a_resend(dedup: RedisDedup) -> None:
    """G1: an open intent beside another attempt's doubt is the later one."""
    await put(dedup, Claim(State.UNCERTAIN_RECORDED, attempt="mine"))
    await restore(dedup, Restored(KEY, sending("mine").to_text(), (1, 10)))
    assert await state(dedup) is State.UNCERTAIN_RECORDED
    await restore(dedup, Restored(KEY, sending("new").to_text(), (1, 10)))
    assert await state(dedup) is State.SENDING


@pytest.mark.parametrize(
    ("place", "after"),
    [((1, 9), State.CLOSED), ((1, 10), State.SENDING), ((2, 9), State.SENDING), ((-1, 9), State.SENDING)],
    ids=["an older record's intent", "a later record's", "of another partition", "of several"],
)
async def test_a_rebuild_knows_what_came_after_an_end(dedup: RedisDedup, place: tuple[int, int], after: State) -> None:
    """G1: a server that came back as it was before the claim knows of an older record's end, not of the call."""
    await put(dedup, START[State.CLOSED])
    await restore(dedup, Restored(KEY, sending("new").to_text(), place))
    assert await state(dedup) is after


async def test_a_restored_claim_is_sending_since_now(dedup: RedisDedup) -> None:
    """G2: by the server's clock, whatever that of the intent's machine said; also one that a file brought back."""
    await dedup.claim([MINE])
    now = await dedup.peek(KEY)
    assert now is not None
    for before in (ABSENT, sending("new", since_ms=FUTURE), sending("new", since_ms=OLD)):
        await put(dedup, before)
        await restore(dedup, Restored(KEY, sending("new", since_ms=FUTURE).to_text(), (1, 10)))
        claim = await dedup.peek(KEY)
        assert claim is not None
        assert now.since_ms <= claim.since_ms < now.since_ms + 600_000
        assert (await dedup.claim([replace(MINE, attempt="new")]))[0].attempt == "new"


async def test_a_rebuild_bars_every_holder_of_several_intents(dedup: RedisDedup) -> None:
    """G1: a lagging replica's claim of one of them is not its holder's any more."""
    await put(dedup, Claim(State.SENDING, attempt="mine", since_ms=FUTURE))
    await restore(dedup, Restored(KEY, sending("mine", "new").to_text(), (1, 10)))
    assert (await dedup.claim([MINE]))[0].attempt == "~mine~new"
    await put(dedup, sending("other", since_ms=FUTURE))
    await restore(dedup, Restored(KEY, sending("new").to_text(), (1, 10)))
    assert await attempt_of(dedup) == "~new~other", "what the topics do not explain may have been called for as well"
    await dedup.note_sent([MINE])
    assert await state(dedup) is State.SENT


async def test_who_never_called_leaves_the_others_claim(dedup: RedisDedup) -> None:
    """G4: a key that several hold is free when none of them called; G1: and not before. A resend's is in doubt again."""
    await put(dedup, sending("mine", "other", "third", since_ms=FUTURE))
    for left in ("~mine~third", "~mine~third", "~third"):
        await dedup.release([replace(MINE, attempt="mine" if left == "~third" else "other")])
        assert await dedup.peek(KEY) == Claim(State.SENDING, attempt=left, since_ms=FUTURE)
        assert (await dedup.claim([MINE]))[0].attempt == left
    third = replace(MINE, attempt="third")
    assert (await dedup.claim([third]))[0].attempt == "~third", "the last of several is nobody's too"
    await dedup.release([third])
    assert await dedup.peek(KEY) == ABSENT
    await put(dedup, sending("mine", "other", since_ms=FUTURE))
    await dedup.release([replace(MINE, overrides="a"), replace(MINE, attempt="other", overrides="a")])
    assert await dedup.peek(KEY) == Claim(State.UNCERTAIN_RECORDED, attempt="a")


@pytest.mark.parametrize("before", [START[State.SENDING], START[State.BARRED]])
async def test_a_resend_that_was_not_sent_leaves_its_key_in_doubt(dedup: RedisDedup, before: Claim) -> None:
    """G1: free, it would be called for by whoever comes next, without anybody's leave."""
    await put(dedup, before)
    await dedup.release([replace(MINE, overrides="a")])
    assert await dedup.peek(KEY) == Claim(State.UNCERTAIN_RECORDED, attempt="a")
    await dedup.release([replace(MINE, overrides="a")])
    assert (await dedup.claim([MINE]))[0] == Claim(State.UNCERTAIN_RECORDED, attempt="a")
    assert (await dedup.claim([replace(MINE, overrides="a")]))[0].state is State.SENDING


@pytest.mark.parametrize(
    ("ended", "known", "after"),
    [
        ("x mine", "", ABSENT),
        ("mine", "D1:9", Claim(State.CLOSED, partition=1, offset=9)),
        ("mine", f"Anew:{FUTURE}", sending("new")),
        ("min minee", "D1:9", START[State.SENDING]),
        ("", f"Anew:{FUTURE}", sending("new", "mine")),
        ("mine", f"A~new~mine:{FUTURE}", sending("new", "mine")),
    ],
)
async def test_a_rebuild_frees_what_has_ended(dedup: RedisDedup, ended: str, known: str, after: Claim) -> None:
    """G4: a claim that a server's file brought back is nobody's call when the topics say that its attempt has ended."""
    await put(dedup, START[State.SENDING])
    await restore(dedup, Restored(KEY, known, (1, 10), ended))
    found = await dedup.peek(KEY)
    assert found is not None
    assert replace(found, since_ms=after.since_ms) == after
    await put(dedup, START[State.UNCERTAIN])
    await restore(dedup, Restored(KEY, "", ended="mine"))
    assert await dedup.peek(KEY) == START[State.UNCERTAIN], "a doubt is more than a claim"


async def test_a_refused_record_bars_its_key(dedup: RedisDedup) -> None:
    """G6: nobody calls for the key, nor bars it, while the dead letter of its record is on its way; an answer that got
    lost may be asked for again; a newer record is attempted after it."""
    other = replace(MINE, attempt="other", offset=11)
    for bar in (dedup.claim, dedup.refuse):
        await put(dedup, ABSENT)
        await bar([MINE])
        for _ in range(2):
            await dedup.note_refused([MINE])
            await dedup.note_refused([other])
            await dedup.release([other])
        for meet in (dedup.claim, dedup.refuse, dedup.cancel):
            (met,) = await meet([other])
            assert (met.state, met.attempt, met.since_ms > 0) == (State.BARRED, "mine", True)
        await dedup.close([MINE])
        assert (await dedup.claim([other]))[0].attempt == "other"


async def test_one_of_several_that_was_refused_leaves_the_others_claim(dedup: RedisDedup) -> None:
    """G1: the others may have been called for; G6: the last of them bars the key."""
    await put(dedup, sending("mine", "other", since_ms=FUTURE))
    for _ in range(2):
        await dedup.note_refused([MINE])
        assert await dedup.peek(KEY) == Claim(State.SENDING, attempt="~other", since_ms=FUTURE)
    await dedup.note_refused([replace(MINE, attempt="other")])
    (met,) = await dedup.claim([MINE])
    assert (met.state, met.attempt) == (State.BARRED, "other")


async def test_one_tells_of_a_record(dedup: RedisDedup) -> None:
    """G6: whoever asks first, for one lifetime and however often; then somebody else may."""
    assert await dedup.tell([(1, 10), (1, 11)], "mine") == [True, True]
    for _ in range(2):
        assert await dedup.tell([(1, 10), (2, 10)], "other") == [False, True]
        assert await dedup.tell([(1, 10), (2, 10)], "mine") == [True, False]
    dedup._lifetime_ms = 50
    await dedup.tell([(1, 10)], "mine")
    async with asyncio.timeout(60):
        while await dedup.tell([(1, 10)], "other") != [True]:
            await asyncio.sleep(0.01)
    await dedup.unset_whole()
    with pytest.raises(NotWhole):
        await dedup.tell([(1, 10)], "mine")


async def test_a_bars_time_is_over(dedup: RedisDedup) -> None:
    """G6: it frees nothing by itself, but tells that no letter can come any more; a tombstone bars over it."""
    over = Claim(State.BARRED, attempt="other")
    for meet in (dedup.claim, dedup.refuse):
        await put(dedup, replace(over, since_ms=OLD))
        for _ in range(2):
            assert await meet([MINE]) == [over]
    (met,) = await dedup.cancel([MINE])
    assert (met.state, met.attempt, met.since_ms > 0) == (State.BARRED, "mine", True)
    await put(dedup, over)
    await dedup.release([replace(MINE, attempt="other")])
    assert (await dedup.claim([MINE]))[0].state is State.SENDING


@pytest.mark.parametrize(
    ("known", "after"),
    [
        (f"Amine:{FUTURE}", State.BARRED),
        ("", State.BARRED),
        (f"Aother:{FUTURE}", State.SENDING),
        (f"A~mine~other:{FUTURE}", State.SENDING),
        ("D1:9", State.CLOSED),
        ("uother", State.UNCERTAIN_RECORDED),
    ],
)
async def test_a_rebuild_keeps_a_bar_beside_its_own_intent(dedup: RedisDedup, known: str, after: State) -> None:
    """G4: the intent of what was certainly refused is no doubt; whatever else the topics know stands over a bar."""
    await put(dedup, START[State.BARRED])
    await restore(dedup, Restored(KEY, known, (1, 10)))
    assert await state(dedup) is after


async def test_a_late_record_of_doubt_is_not_taken_for_a_later_attempts(dedup: RedisDedup) -> None:
    """G1: the ledger's word about an overridden attempt, told late, must not bring its name back: a leave names it."""
    for later in (Claim(State.SENDING, attempt="new", since_ms=FUTURE), Claim(State.UNCERTAIN, attempt="new")):
        await put(dedup, later)
        assert await dedup.record_uncertain([MINE]) == [later]


async def test_a_tombstone_closes_at_its_own_place(dedup: RedisDedup) -> None:
    """G2: a mail that had ended is cancelled by a newer tombstone; an older one, read again, changes nothing. G6: until
    the cancellation has committed nobody is granted the key."""
    mine, newer = (Claim(State.CLOSED, partition=1, offset=offset) for offset in (10, 11))
    other = replace(MINE, attempt="other", offset=12)
    for before in (ABSENT, START[State.CLOSED], mine, START[State.BARRED]):
        await put(dedup, before)
        (barred,) = await dedup.cancel([MINE])
        assert (barred.state, barred.attempt) == (State.BARRED, "mine")
        for meet in (dedup.claim, dedup.cancel, dedup.refuse):
            assert await meet([other]) == [barred]
        await dedup.close([MINE])
        assert await dedup.peek(KEY) == mine
    await put(dedup, newer)
    assert await dedup.cancel([MINE]) == [newer]
    assert await dedup.peek(KEY) == newer


async def test_many_claim_at_once_one_wins(dedup: RedisDedup) -> None:
    """G1: two groups, a replay and a live run, a zombie and its successor exclude each other."""
    keys = [Key(f"u{n}", "2026-11") for n in range(50)]
    rounds = [dedup.claim([Item(key, f"a{n}", 0, 0) for key in keys]) for n in range(20)]
    granted = [(claim.attempt == f"a{n}") for n, claims in enumerate(await asyncio.gather(*rounds)) for claim in claims]
    assert sum(granted) == 50


async def test_a_dead_record_and_a_newer_one(dedup: RedisDedup) -> None:
    """A dead letter settles its record, not its key: a newer record is attempted, a replayed one is not."""
    await dedup.close([MINE])
    assert (await dedup.claim([replace(MINE, offset=9)]))[0].state is State.CLOSED
    assert (await dedup.claim([MINE]))[0].state is State.CLOSED
    assert (await dedup.claim([replace(MINE, offset=11)]))[0].state is State.SENDING
    await dedup.release([MINE])
    await dedup.close([MINE])
    await dedup.close([replace(MINE, offset=5)])
    assert await dedup.peek(KEY) == Claim(State.CLOSED, partition=1, offset=10)
    assert (await dedup.claim([replace(MINE, partition=2, offset=0)]))[0].state is State.SENDING


async def test_without_the_marker_nobody_claims(dedup: RedisDedup) -> None:
    """G1: a set that may have lost entries grants nothing; facts are written all the same."""
    await dedup.unset_whole()
    for look in (dedup.claim, dedup.cancel, dedup.refuse, dedup.release):
        with pytest.raises(NotWhole):
            await look([MINE])
    assert await dedup.peek(KEY) is None
    assert await dedup.note_sent([MINE]) == [Claim(State.SENT, message_id="m1", fingerprint="f")]
    await make_whole(dedup)
    assert await state(dedup) is State.SENT


async def test_a_marker_of_another_run_does_not_stand(dedup: RedisDedup) -> None:
    """G1: after a restart or a failover the last writes may be missing, though the marker came back with the rest."""
    await dedup.set_marker("0" * 40)  # type: ignore[attr-defined]
    with pytest.raises(NotWhole):
        await dedup.claim([MINE])
    await dedup.set_lock("mine:" + "1" * 40)  # type: ignore[attr-defined]
    assert not await dedup.set_whole("mine"), "a rebuild under an earlier run must not count"
    await make_whole(dedup)
    assert (await dedup.claim([MINE]))[0].state is State.SENDING


ANOTHER_LIFE = {
    "another lineage": Under("ours", "newer", 0),
    "another installation": Under("theirs", "life", 0),
    "more grants than the marker knows of": Under("ours", "life", 3),
}


@pytest.mark.parametrize("under", ANOTHER_LIFE.values(), ids=ANOTHER_LIFE)
async def test_a_set_of_another_life_grants_nothing(dedup: RedisDedup, under: Under) -> None:
    """G1: an older lineage's set may lack claims of the newest, another's has other mails, an older dump lacks the last."""
    dedup.under = lambda: Under("ours", "life", 0)
    await make_whole(dedup)
    for attempt in ("one", "two"):
        await dedup.claim([replace(MINE, attempt=attempt)])
    assert dedup.granted == 2
    assert await dedup.server() == ServerSeen((await dedup.server()).run, "ours", "life", whole=True)
    dedup.under = lambda: under
    assert not await dedup.is_whole()
    for look in (dedup.claim, dedup.cancel, dedup.refuse, dedup.release):
        with pytest.raises(NotWhole):
            await look([MINE])


async def test_what_one_has_seen_granted_is_asked_for(dedup: RedisDedup) -> None:
    """G1: an older dump, loaded key by key with its marker, is noticed by whoever has seen later grants."""
    dedup.under = lambda: Under("ours", "life", 0)
    await make_whole(dedup)
    await dedup.claim([MINE])
    assert await dedup.is_whole()
    await dedup.set_granted(0)  # type: ignore[attr-defined]
    assert not (await dedup.server()).whole
    with pytest.raises(NotWhole):
        await dedup.claim([MINE])


@pytest.mark.parametrize("field", ["run", "replication"])
async def test_the_marker_names_the_server(redis_dedup: RedisDedup, field: str) -> None:
    """G1: a failover keeps one of a server's ids and changes the other."""
    await redis_dedup._client.hset(redis_dedup.marker, field, "0" * 40)
    with pytest.raises(NotWhole):
        await redis_dedup.claim([MINE])


async def test_the_marker_of_0_1_is_none(redis_dedup: RedisDedup) -> None:
    """An upgrade rebuilds the set: what 0.1 calls whole is whole under no lineage."""
    await redis_dedup._client.set(redis_dedup.marker, (await redis_dedup.server()).run)
    assert not await redis_dedup.is_whole()
    with pytest.raises(NotWhole):
        await redis_dedup.claim([MINE])
    await make_whole(redis_dedup)
    assert await redis_dedup.is_whole()


async def test_a_server_that_tells_no_id_is_never_whole(dedup: RedisDedup) -> None:
    """G1: without INFO one server is like another, and what an older file brought back would be believed."""
    await dedup.hide_id()  # type: ignore[attr-defined]
    with pytest.raises(RedisUntrusted):
        await dedup.server()
    for marker in ("unknown", ""):
        await dedup.set_marker(marker)  # type: ignore[attr-defined]
        await dedup.set_lock(f"mine:{marker}")  # type: ignore[attr-defined]
        with pytest.raises(NotWhole):
            await dedup.claim([MINE])
        with pytest.raises(RebuildLost):
            await dedup.restore([], "mine", 30)
        assert not await dedup.lock_rebuild("mine", 30)
        assert not await dedup.set_whole("mine")


async def test_entries_are_walked(dedup: RedisDedup) -> None:
    """Every entry, whatever the user id holds; none of another prefix."""
    keys = [Key(user, month) for user in ("a:b", "ü", "[x]*") for month in ("2026-11", "2026-12")]
    await dedup.claim([Item(key, "a", 0, 0) for key in keys])
    assert {key async for key, _ in dedup.entries()} == set(keys)
    assert [claim.state for claim in await dedup.peek_all([*keys, KEY])] == [State.SENDING] * 6 + [State.ABSENT]


async def test_a_rebuild_never_lowers(dedup: RedisDedup) -> None:
    """G1: a fact written while the set is rebuilt stands."""
    await dedup.note_sent([MINE])
    await restore(
        dedup,
        Restored(KEY, sending("x").to_text(), (1, 10)),
        Restored(KEY, Claim(State.UNCERTAIN, attempt="x").to_text()),
    )
    assert await state(dedup) is State.SENT
    await restore(dedup, Restored(KEY, Claim(State.SENT_RECORDED, fingerprint="f").to_text()))
    assert await state(dedup) is State.SENT_RECORDED


async def test_nothing_expires_by_itself(redis_dedup: RedisDedup) -> None:
    """G6: only a floor takes entries away: neither what is written here expires, nor what 0.1 has written."""
    client, beside = redis_dedup._client, replace(MINE, key=Key("u2", "2026-10"))
    names = [redis_dedup._bucket(KEY), redis_dedup._bucket(beside.key), redis_dedup._places(KEY)]
    names.append(f"{redis_dedup._base}:noted:2026-11")
    for name in names[:2]:
        await client.hset(name, "somebody", "sf")
        await client.expireat(name, 1_830_297_600)
    await redis_dedup.claim([MINE])
    await redis_dedup.supersede([MINE])
    await redis_dedup.note([("2026-11", "event")])
    assert [await client.ttl(name) for name in (*names[2:], names[0], redis_dedup.marker)] == [-1] * 4
    assert await client.expiretime(names[1]) == 1_830_297_600
    await restore(redis_dedup, Restored(beside.key, ""))
    assert await client.ttl(names[1]) == -1, "a rebuild makes it stay, whatever it knows of the key"
    for name in names:
        await client.expireat(name, 1_830_297_600)
    await redis_dedup.keep_all()
    assert [await client.ttl(name) for name in names] == [-1] * 4
    await client.expireat(names[0], 1_830_297_600)
    await redis_dedup.keep_all()
    assert await client.expiretime(names[0]) == 1_830_297_600, "that is done once in a set's life"


async def test_a_month_below_the_floor_is_closed_for_good(dedup: RedisDedup) -> None:
    """G1, G6: nothing is granted for it and nothing of it kept, and no later act lowers the floor."""
    old, first = replace(MINE, key=Key("u1", "2026-09")), replace(MINE, key=Key("u1", "2026-10"))
    for item in (old, first, MINE):
        await dedup.note_sent([item])
        await dedup.supersede([replace(item, offset=3)])
        await dedup.note([(item.key.month, "event")])
    assert await dedup.raise_floor() == ""
    assert await dedup.raise_floor("2026-10") == "2026-10"
    assert await dedup.raise_floor("2026-08") == "2026-10"
    await dedup.drop_below_floor()
    assert await dedup.raise_floor() == "2026-10"
    assert await dedup.peek_all([old.key, first.key]) == [ABSENT, Claim(State.SENT, message_id="m1", fingerprint="f")]
    assert await dedup.noted([(month, "event") for month in ("2026-09", "2026-10")]) == [False, True]
    another = replace(MINE, key=Key("u2", "2026-11"))
    with pytest.raises(BelowFloor) as closed:
        await dedup.claim([another, old])
    assert closed.value.floor == "2026-10"
    assert await dedup.peek_all([another.key, old.key]) == [ABSENT, ABSENT], "nothing of the batch was granted"
    assert (await dedup.claim([another]))[0].state is State.SENDING


async def test_the_floor_outlives_the_marker(dedup: RedisDedup) -> None:
    """G6: a rebuild and an adoption take the marker away, and the months below stay closed."""
    await dedup.raise_floor("2026-12")
    await dedup.unset_whole()
    await make_whole(dedup)
    with pytest.raises(BelowFloor):
        await dedup.claim([MINE])


async def test_the_server_tells_its_time(dedup: RedisDedup) -> None:
    """The month that is the present one must not hang on one machine's clock."""
    assert abs(await dedup.time_ms() - time.time() * 1000) < 60_000


async def test_one_rebuild_at_a_time(dedup: RedisDedup) -> None:
    """The lock belongs to one process, and only that one frees or keeps it."""
    assert await dedup.lock_rebuild("one", 30)
    assert not await dedup.lock_rebuild("two", 30)
    assert not await dedup.extend_lock("two", 30)
    await dedup.unlock_rebuild("two")
    assert await dedup.extend_lock("one", 30)
    assert await dedup.lock_rebuild("one", 30), "an answer that got lost may be asked for again"
    await dedup.unlock_rebuild("one")
    assert await dedup.lock_rebuild("two", 30)
    assert await dedup.set_whole("two")
    assert not await dedup.extend_lock("two", 30), "who has marked is done"


async def lost_to_flushall(dedup: RedisDedup) -> None:
    await dedup.set_lock("")  # type: ignore[attr-defined]


async def lost_to_a_restart(dedup: RedisDedup) -> None:
    await dedup.set_lock("mine:" + "1" * 40)  # type: ignore[attr-defined]


async def lost_to_its_end(dedup: RedisDedup) -> None:
    assert await dedup.extend_lock("mine", 0.02)
    while await dedup.extend_lock("mine", 0.001):
        await asyncio.sleep(0.01)


async def lost_to_another(dedup: RedisDedup) -> None:
    await lost_to_its_end(dedup)
    assert await dedup.lock_rebuild("another", 30)


@pytest.mark.parametrize("lost", [lost_to_flushall, lost_to_a_restart, lost_to_its_end, lost_to_another])
async def test_a_rebuild_that_lost_its_lock_counts_for_nothing(
    dedup: RedisDedup, lost: Callable[[RedisDedup], Awaitable[None]]
) -> None:
    """G1: whatever came between, the set is not what its first chunks made it, so no more chunk and no mark follow."""
    await dedup.unset_whole()
    assert await dedup.lock_rebuild("mine", 30)
    await dedup.restore([], "mine", 30)
    await lost(dedup)
    with pytest.raises(RebuildLost):
        await dedup.restore([Restored(KEY, "ua")], "mine", 30)
    assert await dedup.peek_all([KEY]) == [ABSENT]
    assert not await dedup.extend_lock("mine", 30)
    assert not await dedup.set_whole("mine")
    await dedup.unlock_rebuild("mine")
    assert not await dedup.is_whole()
    token = "another" if lost is lost_to_another else "new"
    assert await dedup.lock_rebuild(token, 30), "a lock that another run granted holds nobody"
    assert await dedup.set_whole(token)


async def test_a_server_that_evicts_is_refused(client: redis.asyncio.Redis) -> None:
    """G1: a forgotten key would be a second mail."""
    await check_server(client)
    await client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(RedisUnavailable, match="noeviction"):
            await check_server(client)
    finally:
        await client.config_set("maxmemory-policy", "noeviction")


async def test_a_server_that_tells_no_id_is_refused(redis_dedup: RedisDedup) -> None:
    """It is said what to do, and CONFIG's being forbidden as well does not hide it."""
    await redis_dedup.hide_id()  # type: ignore[attr-defined]
    with pytest.raises(RedisUntrusted, match=r"\+info") as refused:
        await check_server(redis_dedup._client)
    assert (refused.value.exit_code, refused.value.reason) == (7, "redis-tells-no-id")


async def test_a_server_that_is_away_is_named() -> None:
    """Redis's errors arrive as ours."""
    away = redis.asyncio.Redis(host="127.0.0.1", port=1)
    with pytest.raises(RedisUnavailable):
        await RedisDedup(away, "x-", 1).claim([MINE])
    with pytest.raises(RedisUnavailable):
        await check_server(away)
    await away.aclose()


@pytest.mark.parametrize("state", list(State))
async def test_what_the_ledger_holds_as_sent_can_be_seen(dedup: RedisDedup, state: State) -> None:
    """Only that, whether the set is whole or not; nothing is changed by looking."""
    await put(dedup, START[state])
    seen = START[state] if state is State.SENT_RECORDED else None
    for step in (dedup.unset_whole, partial(make_whole, dedup)):
        await step()
        assert await dedup.recorded([KEY, Key("nobody", "2026-11"), KEY]) == [seen, None, seen]
    assert await dedup.peek(KEY) == START[state]


async def test_the_pace_is_one_for_the_group(client: redis.asyncio.Redis) -> None:
    """Two processors share one budget: never more than rate and burst together."""
    prefix = f"c{uuid4().hex[:8]}-"
    paces = [RedisPace(client, prefix, 60), RedisPace(client, prefix, 60)]
    loop = asyncio.get_running_loop()
    began, granted = loop.time(), 0
    while granted < 80:
        for pace in paces:
            lease = await pace.lease(5, 100, quota=False)
            granted += lease.granted
        await asyncio.sleep(min(lease.wait_s, 0.01))
    assert granted <= 100 * (loop.time() - began) + 10 + 1


async def test_a_throttle_halves_the_pace_and_it_comes_back(client: redis.asyncio.Redis) -> None:
    """Once for all the calls of one moment, for the whole group, and slowly back."""
    prefix = f"c{uuid4().hex[:8]}-"
    one, two = RedisPace(client, prefix, 60), RedisPace(client, prefix, 60)
    await one.lease(1, 200, quota=False)
    assert await asyncio.gather(one.throttled(), two.throttled()) == [0.5, 0.5]
    loop = asyncio.get_running_loop()
    began, granted = loop.time(), 0
    while granted < 150:  # longer than a moment
        lease = await two.lease(5, 200, quota=False)
        granted += lease.granted
        await asyncio.sleep(min(lease.wait_s, 0.01))
    # Half of 200 a second, and a hundredth of it more each second.
    took_s = loop.time() - began
    assert granted <= (100 + 4 * took_s) * took_s + 10 + 1
    assert 0.25 < await two.throttled() < 0.5


async def test_the_quota_is_one_for_the_group(client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of both come off what SES said; what SES may not have counted yet does, too; a lost budget is said so."""
    monkeypatch.setattr("processor.adapters.redis.pace.UNCOUNTED_MS", 600_000)
    prefix = f"c{uuid4().hex[:8]}-"
    one, two = RedisPace(client, prefix, 144), RedisPace(client, prefix, 144)
    assert await one.lease(5, 0, quota=True) == Lease(0, 0.0, None)
    before = await one.leased()
    await one.set_room(10, before)
    assert await one.lease(4, 0, quota=True) == Lease(4, 0.0, 6)
    assert await two.lease(9, 1e6, quota=True) == Lease(6, 0.0, 0)
    assert (await one.lease(1, 0, quota=True)).granted == 0
    # SES was asked a moment after those ten were leased, and has counted none of them.
    assert await two.leased() == before
    await two.set_room(15, await two.leased())
    assert await one.lease(50, 0, quota=True) == Lease(5, 0.0, 0)
    monkeypatch.setattr("processor.adapters.redis.pace.UNCOUNTED_MS", 50)
    while await one.leased() != 15:
        await asyncio.sleep(0.01)
    await one.set_room(0.5, await one.leased())
    assert (await two.lease(1, 0, quota=True)).granted == 0
    assert (await two.lease(7, 0, quota=False)).granted == 7


async def test_the_quota_opens_when_the_first_mails_are_a_window_old(client: redis.asyncio.Redis) -> None:
    """By the group's own leases; a step's length at the latest after it."""
    pace = RedisPace(client, f"c{uuid4().hex[:8]}-", 14_400)
    assert await pace.quota_opens_s() is None
    await pace.set_room(1, 0)
    await pace.lease(1, 0, quota=True)
    opens_s = await pace.quota_opens_s()
    assert opens_s is not None
    assert 14_000 < opens_s <= 14_500


CLOSED_AT_10 = Claim(State.CLOSED, partition=1, offset=10)


@pytest.mark.parametrize("before", list(State))
async def test_a_place_stands_beside_the_claim(dedup: RedisDedup, before: State) -> None:
    """G5: closing a key changes nothing of what its claim says, and says it."""
    await put(dedup, START[before])
    assert await dedup.supersede([MINE]) == [START[before]]
    assert await dedup.peek(KEY) == START[before]


async def test_no_record_up_to_a_place_is_granted(dedup: RedisDedup) -> None:
    """G5: not the record itself, nor an older one, nor a resend of it; a newer one is, and another partition's."""
    await dedup.supersede([MINE])
    for before in (ABSENT, START[State.CLOSED], START[State.DROPPED]):
        for offset in (0, 9, 10):
            await put(dedup, before)
            old = replace(MINE, attempt="old", offset=offset, overrides="mine")
            if before.state is State.CLOSED and offset <= before.offset:
                assert await dedup.claim([old]) == [before], "it had ended before"
            else:
                assert await dedup.claim([old]) == [CLOSED_AT_10]
            assert await dedup.peek(KEY) == before
    for newer in (replace(MINE, offset=11), replace(MINE, partition=2, offset=0)):
        await put(dedup, ABSENT)
        assert (await dedup.claim([newer]))[0].state is State.SENDING


async def test_a_retry_of_a_closed_record_is_not_granted(dedup: RedisDedup) -> None:
    """G5: refused for now, free again, and claimed once more after a cancel: the place has outlived the claim."""
    await dedup.claim([MINE])
    assert (await dedup.supersede([MINE]))[0].state is State.SENDING
    await dedup.release([MINE])
    assert await dedup.claim([MINE]) == [CLOSED_AT_10]
    assert await state(dedup) is State.ABSENT


async def test_a_late_copy_of_a_granted_claim_frees_nothing(dedup: RedisDedup) -> None:
    """G1: its call may be under way; nor does it grant anything."""
    (granted,) = await dedup.claim([MINE])
    await dedup.supersede([MINE])
    assert await dedup.claim([MINE]) == [CLOSED_AT_10]
    assert await dedup.peek(KEY) == granted
    assert (await dedup.claim([replace(MINE, attempt="newer", offset=11)])) == [granted]


async def test_a_place_is_never_lowered(dedup: RedisDedup) -> None:
    """G5: commands may overtake one another, and a key's records may stand in two partitions."""
    other = replace(MINE, partition=2, offset=7)
    for item in (MINE, replace(MINE, offset=3), other, replace(other, offset=-1)):
        await dedup.supersede([item])
    assert await dedup.claim([replace(MINE, offset=5)]) == [CLOSED_AT_10]
    assert await dedup.claim([other]) == [Claim(State.CLOSED, partition=2, offset=7)]
    fresh = replace(MINE, key=Key("another", "2026-11"), offset=0)
    await dedup.supersede([replace(fresh, offset=-1)])
    assert (await dedup.claim([fresh]))[0].state is State.SENDING, "a correction of nothing before it"


async def test_a_place_in_a_set_that_is_not_whole_is_none(dedup: RedisDedup) -> None:
    """G5: whoever makes the set whole reads the topic to its end instead."""
    await dedup.unset_whole()
    with pytest.raises(NotWhole):
        await dedup.supersede([MINE])
    await make_whole(dedup)
    assert (await dedup.claim([MINE]))[0].state is State.SENDING


async def test_places_are_forgotten_with_their_keys(redis_dedup: RedisDedup) -> None:
    """They hold user ids."""
    await redis_dedup.supersede([MINE])
    places = redis_dedup._places(KEY)
    assert not [key async for key, _ in redis_dedup.entries()]
    await redis_dedup.forget([KEY])
    assert not await redis_dedup._client.exists(places)


# ---- another installation's set, taken over ----


async def test_while_a_set_is_adopted_nobody_is_granted_anything(dedup: RedisDedup) -> None:
    """G1: neither whoever had it nor whoever adopts it, until it was rebuilt; broken off, it goes on with the same."""
    dedup.under = lambda: Under("theirs", "l1")
    assert await dedup.lock_rebuild("t0", 30)
    assert await dedup.set_whole("t0", "l1")
    assert await dedup.claim([MINE])
    for token in ("t1", "t2"):
        assert await dedup.lock_rebuild(token, 30)
        assert await dedup.bar(token) == ("theirs", token == "t1")
        for under in (Under("theirs", "l1"), Under("ours", "l1"), Under(ADOPTING, "l1")):
            dedup.under = lambda under=under: under  # type: ignore[misc]
            with pytest.raises(NotWhole):
                await dedup.claim([MINE])
        seen = await dedup.server()
        assert (seen.installation, seen.whole) == (ADOPTING, False)
        await dedup.unlock_rebuild(token)
    assert await dedup.lock_rebuild("t3", 30)
    await dedup.own("t3", "ours")
    seen = await dedup.server()
    assert (seen.installation, seen.whole) == ("ours", False)
    assert await dedup.lock_rebuild("t4", 30)


async def test_nobodys_set_can_be_adopted(dedup: RedisDedup) -> None:
    """As after a loss of Redis and of a topic together."""
    await dedup.unset_whole()
    assert await dedup.lock_rebuild("t1", 30)
    assert await dedup.bar("t1") == ("", False)


async def test_an_adoption_that_lost_its_lock_counts_for_nothing(dedup: RedisDedup) -> None:
    """G1: it changes nothing, neither the marker nor an entry."""
    await put(dedup, START[State.CLOSED])
    before = await dedup.server()
    for step in (
        lambda: dedup.bar("nobody"),
        lambda: dedup.adopt([(KEY, START[State.CLOSED], ABSENT)], "nobody", 30),
        lambda: dedup.own("nobody", "ours"),
    ):
        with pytest.raises(RebuildLost):
            await step()  # type: ignore[no-untyped-call]
    assert await dedup.server() == before
    assert await state(dedup) is State.CLOSED


async def test_sess_word_stands_over_an_adoption(dedup: RedisDedup) -> None:
    """G1: what came between reading an entry and changing it is a fact."""
    await put(dedup, START[State.SENDING])
    assert await dedup.lock_rebuild("t1", 30)
    await dedup.note_sent([MINE])
    await dedup.adopt([(KEY, START[State.SENDING], Claim(State.UNCERTAIN_RECORDED, attempt="mine"))], "t1", 30)
    assert await state(dedup) is State.SENT


async def test_places_are_forgotten(dedup: RedisDedup) -> None:
    """G2: a place in another topic bars no record of this one."""
    await dedup.supersede([replace(MINE, offset=20)])
    assert (await dedup.claim([MINE]))[0].state is State.CLOSED
    await dedup.forget_places()
    assert (await dedup.claim([MINE]))[0].state is State.SENDING


async def test_first_mails_are_counted_for_the_group(client: redis.asyncio.Redis) -> None:
    """G2: all processors share the places among a month's first mails; what was not used is given back, never more."""
    prefix = f"c{uuid4().hex[:8]}-"
    one, two = RedisPace(client, prefix, 60), RedisPace(client, prefix, 60)
    assert await one.take_first("2026-11", 4, 6) == 4
    assert await two.take_first("2026-11", 4, 6) == 2
    assert await two.take_first("2026-12", 1, 6) == 1
    assert await one.take_first("2026-11", 1, 6) == 0
    await one.give_back_first("2026-11", 1)
    assert await two.take_first("2026-11", 4, 6) == 1
    await one.give_back_first("2026-11", 100)
    assert await two.take_first("2026-11", 9, 6) == 6
