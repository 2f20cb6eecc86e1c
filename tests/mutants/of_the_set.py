"""Lines of the dedup set's scripts, and what the contract of the set says without them."""

from __future__ import annotations

from tests.mutants.mutant import mutants

__all__: list[str] = []

_LUA = "processor/adapters/lua/"
_WHOLE = "if not is_whole(KEYS[1]) then"

mutants(
    "tests/contracts/test_dedup.py",
    [
        (
            "test_a_rebuild_that_lost_its_lock_counts_for_nothing",
            _LUA + "prelude.lua",
            "return id ~= '' and redis.call('GET', lock) == token .. ':' .. id",
            "return id ~= ''",
        ),
        (
            "test_a_rebuild_frees_what_has_ended",
            _LUA + "restore.lua",
            "  for name in string.gmatch(ended_names, '%S+') do ended[name] = true end\n",
            "",
        ),
        (
            "test_what_went_out_keeps_its_content",
            _LUA + "sent.lua",
            "after = 'S' .. ARGV[at + 1] .. ':' .. ARGV[at + 3]",
            "after = 'S' .. ARGV[at + 1] .. ':'",
        ),
        (
            "test_a_refused_record_bars_its_key",
            _LUA + "note_refused.lua",
            "redis.call('HSET', bucket, user, 'B' .. attempt .. ':' .. string.format('%.0f', now))",
            "redis.call('HDEL', bucket, user)",
        ),
        (
            "test_a_tombstone_closes_at_its_own_place",
            _LUA + "cancel.lua",
            "local free = value == '' or value == 'D' .. partition .. ':' .. offset or closed_by_older(value, partition, offset)",
            "local free = value == ''",
        ),
        (
            "test_what_frees_or_lowers_does_so_in_a_whole_set_alone",
            _LUA + "release.lua",
            _WHOLE,
            "if false then",
        ),
        (
            "test_a_restored_claim_is_sending_since_now",
            _LUA + "restore.lua",
            "return 'A' .. joined(names, true) .. ':' .. string.format('%.0f', now)",
            "return 'A' .. joined(names, true) .. ':1'",
        ),
        (
            "test_a_rebuild_knows_what_came_after_an_end",
            _LUA + "restore.lua",
            " or (closed and (tonumber(closed) ~= partition or offset > tonumber(ends)))",
            "",
        ),
        (
            "test_a_rebuild_bars_every_holder_of_several_intents",
            _LUA + "prelude.lua",
            "return (#names == 1 and alone) and names[1] or '~' .. table.concat(names, '~')",
            "return names[1]",
        ),
        (
            "test_who_never_called_leaves_the_others_claim",
            _LUA + "facts.lua",
            "  if #others > 0 then return state .. joined(others) .. ':' .. since end\n",
            "",
        ),
        ("test_without_the_marker_nobody_claims", _LUA + "claim.lua", _WHOLE, "if false then"),
        (
            "test_a_retry_of_a_closed_record_is_not_granted",
            _LUA + "claim.lua",
            "local place = free and superseded(places, user, ARGV[at + 2], ARGV[at + 3])",
            "local place",
        ),
        (
            "test_a_month_below_the_floor_is_closed_for_good",
            _LUA + "claim.lua",
            "  if string.sub(KEYS[i], -12, -6) < floor then return redis.error_reply('BELOW ' .. floor) end\n",
            "",
        ),
        (
            "test_nothing_expires_by_itself",
            _LUA + "prelude.lua",
            "if redis.call('HSET', bucket, user, value) == 1 then redis.call('PERSIST', bucket) end",
            "redis.call('HSET', bucket, user, value)",
        ),
        (
            "test_a_set_of_another_life_grants_nothing",
            _LUA + "prelude.lua",
            "held.lineage == lineage and is_whole_here",
            "is_whole_here",
        ),
        (
            "test_what_one_has_seen_granted_is_asked_for",
            _LUA + "prelude.lua",
            " and held.granted >= seen",
            "",
        ),
        (
            "test_while_a_set_is_adopted_nobody_is_granted_anything",
            _LUA + "bar.lua",
            "redis.call('DEL', KEYS[1], KEYS[3])\nredis.call('HSET', KEYS[1], 'installation', ARGV[2], 'adopts', whose)",
            "redis.call('HSET', KEYS[1], 'adopts', whose)",
        ),
        (
            "test_an_adoption_that_lost_its_lock_counts_for_nothing",
            _LUA + "adopt.lua",
            "if not holds(KEYS[1], ARGV[1]) then",
            "if false then",
        ),
        (
            "test_one_tells_of_a_record",
            _LUA + "tell.lua",
            "local mine = not held or held == ARGV[1]",
            "local mine = true",
        ),
        (
            "test_what_was_dropped_stays_dropped",
            _LUA + "facts.lua",
            " and string.match(value, '^R([^:]+)') ~= attempt\n",
            "\n",
        ),
        (
            "test_scripts_agree_with_the_table",
            _LUA + "facts.lua",
            "if value == '' or mine or closed_by_older(value, ended, ended_at) then",
            "if true then",
        ),
    ],
)

mutants(
    "tests/contracts/test_checkpoint.py",
    [
        (
            "test_the_checkpoint_moves_from_where_it_stands",
            _LUA + "follow.lua",
            "if redis.call('HGET', KEYS[2], 'moves') ~= ARGV[1] then return { -1 } end\n",
            "",
        ),
        (
            "test_a_set_that_may_be_no_prefix_is_rebuilt_whole",
            _LUA + "checkpoint.lua",
            "  good = good and expires == tonumber(held[2]) + i\n",
            "",
        ),
    ],
)
