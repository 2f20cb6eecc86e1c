"""The set's checkpoint, on a real server and in memory: who moves it, what is applied before, and what voids it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from processor.adapters.redis import RedisDedup, Under
from processor.adapters.redis import checkpoint as redis_checkpoint
from processor.adapters.redis.checkpoint import Following
from processor.core.checkpoint import NOTHING, Checkpoint, Place, Topic
from processor.core.states import Claim, parse_claim
from processor.core.window import News
from processor.ports import Item, NotWhole, RebuildLost
from schemas.identity import Key

KEY = Key("team:x/ü", "2026-11")
SINCE = "99999999999999"


def at(offset: int) -> Checkpoint:
    return Checkpoint(Topic("l", {0: Place(offset, 1), 11: Place(2**40)}), Topic("a", {0: Place(offset, 3)}))


async def rebuilt(
    dedup: RedisDedup, checkpoint: Checkpoint = NOTHING, since: Checkpoint = NOTHING, lineage: str = "l1"
) -> None:
    dedup.under = lambda: Under("ours", lineage)
    assert await dedup.lock_rebuild("t0", 30)
    assert await dedup.set_whole("t0", lineage, checkpoint, since)


async def begins_at(dedup: RedisDedup) -> Checkpoint:
    """Where a rebuild would begin that finds the set as it is now."""
    assert await dedup.lock_rebuild("t1", 30)
    found = await dedup.checkpoint("t1")
    assert await dedup.checkpoint("t1") == found, "what is void stays void"
    await dedup.unlock_rebuild("t1")
    return found


async def test_a_rebuild_leaves_a_checkpoint(dedup: RedisDedup) -> None:
    """And the next goes on from there, any number of times."""
    await rebuilt(dedup, at(5))
    assert await begins_at(dedup) == at(5)
    await rebuilt(dedup, at(7), at(5), "l2")
    assert await begins_at(dedup) == at(7)
    assert await dedup.follows("p", "l2", 30) == Following(2, at(7))
    await rebuilt(dedup)
    assert await begins_at(dedup) == NOTHING, "0.1's, or one that nobody vouches for"
    assert await dedup.follows("p", "l1", 30) is None


async def copied(dedup: RedisDedup) -> None:
    await dedup.break_seals()  # type: ignore[attr-defined]


async def without_a_marker(dedup: RedisDedup) -> None:
    await dedup.unset_whole()


async def of_others(dedup: RedisDedup) -> None:
    dedup.under = lambda: Under("theirs", "l1")


async def an_older_dump(dedup: RedisDedup) -> None:
    await dedup.claim([Item(KEY, "a", 0, 1)])
    await dedup.set_granted(0)  # type: ignore[attr-defined]


async def adopted(dedup: RedisDedup) -> None:
    assert await dedup.lock_rebuild("t2", 30)
    await dedup.bar("t2")
    await dedup.own("t2", "ours")


@pytest.mark.parametrize("void", [copied, without_a_marker, of_others, an_older_dump, adopted])
async def test_a_set_that_may_be_no_prefix_is_rebuilt_whole(
    dedup: RedisDedup, void: Callable[[RedisDedup], Awaitable[None]]
) -> None:
    """G1: its buckets may be older than its checkpoint."""
    await rebuilt(dedup, at(5))
    await void(dedup)
    assert await begins_at(dedup) == NOTHING


async def test_a_server_that_keeps_no_checkpoint_is_told_of_once(
    redis_dedup: RedisDedup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis before 7 does not tell when a key expires: every rebuild reads everything, and somebody should know."""
    said: list[dict[str, str]] = []
    monkeypatch.setattr(redis_checkpoint.log, "warning", lambda event, **about: said.append({"event": event} | about))
    await rebuilt(redis_dedup, at(5))
    assert await begins_at(redis_dedup) == at(5)
    assert said == []
    await redis_dedup.forbid("pexpiretime")  # type: ignore[attr-defined]
    assert await begins_at(redis_dedup) == NOTHING
    assert await begins_at(redis_dedup) == NOTHING
    assert [one["event"] for one in said] == ["dedup set without checkpoint"]


async def test_what_a_restart_brings_back_is_a_prefix(dedup: RedisDedup) -> None:
    """Another run, and fewer grants than were seen: the checkpoint is of the same moment."""
    await rebuilt(dedup, at(5))
    await dedup.claim([Item(KEY, "a", 0, 1)])
    await dedup.set_granted(0)  # type: ignore[attr-defined]
    await dedup.set_marker("1" * 40)  # type: ignore[attr-defined]
    with pytest.raises(NotWhole):
        await dedup.follow([], 1, "l1", at(6))
    with pytest.raises(NotWhole):
        await dedup.follows("p", "l1", 30)
    assert await begins_at(dedup) == at(5)


async def test_without_the_lock_nobody_is_told(dedup: RedisDedup) -> None:
    await rebuilt(dedup, at(5))
    with pytest.raises(RebuildLost):
        await dedup.checkpoint("nobody")
    assert await begins_at(dedup) == at(5)


async def test_one_follows_for_all(dedup: RedisDedup) -> None:
    """The others find nothing to do, until it stays away."""
    await rebuilt(dedup, at(5))
    assert await dedup.follows("one", "l1", 30) == Following(1, at(5))
    assert await dedup.follows("two", "l1", 30) is None
    assert await dedup.follows("one", "l1", 0) == Following(1, at(5))
    assert await dedup.follows("two", "l1", 30) == Following(1, at(5))


async def test_the_checkpoint_moves_from_where_it_stands(dedup: RedisDedup) -> None:
    """G1: whoever began elsewhere has not applied all that lies between."""
    await rebuilt(dedup, at(5))
    assert await dedup.follow([], 1, "l1") == (1, [])
    assert await dedup.follow([], 1, "l1", at(6)) == (2, [])
    assert await dedup.follow([News(KEY, "sf", "a")], 1, "l1", at(9)) == (-1, [])
    assert await dedup.peek_all([KEY]) == [Claim(parse_claim("").state)]
    assert await dedup.follows("p", "l1", 30) == Following(2, at(6))
    for lineage in ("l0", "l2"):
        with pytest.raises(NotWhole):
            await dedup.follow([News(KEY, "sf", "a")], 2, lineage, at(9))
    assert await begins_at(dedup) == at(6)


@pytest.mark.parametrize(
    ("before", "claim", "withdrawn", "after"),
    [
        ("", "sf", (), "sf"),
        (f"Aa:{SINCE}", "sf", (), "sf"),
        (f"Ab:{SINCE}", "sf", (), "sf"),
        ("Ua", "sf", (), "sf"),
        ("D0:3", "sf", (), "sf"),
        ("Sm1:f", "sf", (), "Sm1:f"),
        ("Ra", "sf", (), "Ra"),
        ("Rb", "sf", (), "sf"),
        ("Ub", "sf:a", (), "sf:a"),
        ("", "ua", (), "ua"),
        (f"Aa:{SINCE}", "ua", (), "ua"),
        (f"Ab:{SINCE}", "ua", (), f"Ab:{SINCE}"),
        ("sf", "ua", (), "sf"),
        ("sf", "Ra", (), "Ra"),
        ("sf:b", "Ra", (), "sf:b"),
        (f"Ab:{SINCE}", "Ra", (), f"Ab:{SINCE}"),
        ("Ra:m1", "Ra", (), "Ra"),
        ("", "D0:3", (), "D0:3"),
        (f"Ba:{SINCE}", "D0:3", (), "D0:3"),
        (f"Ab:{SINCE}", "D0:3", (), f"Ab:{SINCE}"),
        ("D0:9", "D0:3", (), "D0:9"),
        ("ub", "D0:3", (), "ub"),
        (f"Aa:{SINCE}", "", (("a", ""),), ""),
        (f"Ba:{SINCE}", "", (("a", ""),), ""),
        (f"Aa:{SINCE}", "", (("a", "x"),), "ux"),
        (f"A~a~b:{SINCE}", "", (("a", "x"),), f"A~b:{SINCE}"),
        (f"Ab:{SINCE}", "", (("a", "x"),), f"Ab:{SINCE}"),
        ("Sm1:f", "", (("a", "x"),), "Sm1:f"),
        (f"Aa:{SINCE}", "ux", (("a", "x"),), "ux"),
        (f"Ab:{SINCE}", "D0:3", (("b", ""),), "D0:3"),
        ("", "", (("a", "x"),), ""),
    ],
)
async def test_what_follows_is_applied_as_whoever_wrote_it_would(
    dedup: RedisDedup, before: str, claim: str, withdrawn: tuple[tuple[str, str], ...], after: str
) -> None:
    """G1: facts over what knows less, and never over another attempt's claim but for `sent`."""
    await rebuilt(dedup, at(5))
    await dedup.poke(KEY, parse_claim(before))  # type: ignore[attr-defined]
    read = News(KEY, claim, {"u": claim[1:]}.get(claim[:1], "a"), withdrawn)
    moves, found = await dedup.follow([read, News(Key("other", "2026-11"))], 1, "l1", at(6))
    assert (moves, [one.to_text() for one in found]) == (2, [after, ""])
    assert [one.to_text() for one in await dedup.peek_all([KEY])] == [after]


async def test_a_claim_past_its_lifetime_becomes_uncertain_when_it_is_asked_for(dedup: RedisDedup) -> None:
    """G2: nobody reads its record, so whoever follows tells of it; one within its lifetime stays."""
    await rebuilt(dedup, at(5))
    for before, after in (("Aa:1", "Ua"), (f"Aa:{SINCE}", f"Aa:{SINCE}"), ("sf", "sf"), ("", "")):
        await dedup.poke(KEY, parse_claim(before))  # type: ignore[attr-defined]
        assert await dedup.follow([News(KEY)], 1, "l1") == (1, [parse_claim(before)])
        assert await dedup.follow([News(KEY)], 1, "l1", None, True) == (1, [parse_claim(after)])
