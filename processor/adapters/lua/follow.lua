-- What was read of ledger and attempts since the checkpoint: first withdrawals, then what the ledger says; then, once all
-- of it is here, the checkpoint moves. Whoever follows has to have begun at the checkpoint that stands here: one moved by
-- another meanwhile counts for nothing.
-- KEYS: marker, checkpoint, then one bucket per item
-- ARGV: how often the checkpoint has moved, the next checkpoint (empty: it stays), MessagePack: per item user id, what the
-- ledger says as a value (empty: nothing), of which attempt, partition and offset of a record that ended, withdrawn
-- attempts (each with the one that it overrides); lifetime ms: claims past it become uncertain (0: they stay)
-- Returns how often it has moved now, -1 when another has moved it; each key's value.
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
if redis.call('HGET', KEYS[2], 'moves') ~= ARGV[1] then return { -1 } end
local items, out, lifetime = cmsgpack.unpack(ARGV[3]), {}, tonumber(ARGV[4])
local now = now_ms()
for i = 1, #items do
  local user, known, attempt, partition, offset, withdrawn = unpack(items[i])
  if lifetime > 0 then current(KEYS[i + 2], user, now, lifetime) end
  local before = redis.call('HGET', KEYS[i + 2], user) or ''
  local value, what = before, string.sub(known, 1, 1)
  for _, pair in ipairs(withdrawn) do value = without(value, pair[1], pair[2]) end
  if (what == 's' and string.sub(value, 1, 1) ~= 'S') or what == 'u' then
    -- Whoever holds the attempt may take SES's silence for a lost answer yet: the message's id tells them better.
    value = with_record(value, what, string.sub(known, 2), attempt)
  elseif what == 'R' then
    value = with_drop(value, attempt, '', '', '')
  elseif what == 'D' then
    value = with_close(value, partition, offset, attempt)
  end
  exchange(KEYS[i + 2], user, before, value)
  out[i] = value
end
local moves = tonumber(ARGV[1])
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[2], 'places', ARGV[2])
  moves = redis.call('HINCRBY', KEYS[2], 'moves', 1)
end
return { moves, out }
