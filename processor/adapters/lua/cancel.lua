-- A tombstone closes keys that nothing was attempted for, and those that an older record closed (a newer one may have come
-- between, and is not attempted any more); an expired claim becomes uncertain.
-- A bar whose time is over bars nobody: what it waited for is older than the tombstone.
-- KEYS: marker, then one bucket per item
-- ARGV: lifetime ms; per item: user id, partition, offset
-- Returns each key's value after the step.
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
local now, out = now_ms(), {}
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], (i - 1) * 3 + 2
  local value = current(bucket, ARGV[at], now, tonumber(ARGV[1]))
  local partition, offset = string.match(value, '^D(%d+):(%d+)$')
  local older = partition and (partition ~= ARGV[at + 1] or tonumber(offset) < tonumber(ARGV[at + 2]))
  if value == '' or older or string.match(value, '^B.-:0$') then
    value = 'D' .. ARGV[at + 1] .. ':' .. ARGV[at + 2]
    put(bucket, ARGV[at], value)
  end
  out[i] = value
end
return out
