-- Tombstones: bar keys that nothing was attempted for, and those that this or an older record closed (a newer one may have come
-- between, and is not attempted any more), until their cancellations have committed: a newer record must not be sent before.
-- A foreign bar whose time is over bars nobody: what it waited for is older than the tombstone. An expired claim becomes
-- uncertain.
-- KEYS: marker, then one bucket per item
-- ARGV: lifetime ms; per item: user id, whose bar it is, partition, offset
-- Returns each key's value after the step.
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
local now, out = now_ms(), {}
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], (i - 1) * 4 + 2
  local bar, partition, offset = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local value = current(bucket, ARGV[at], now, tonumber(ARGV[1]))
  local holder, since = string.match(value, '^B(.-):(%d+)$')
  local free = value == '' or value == 'D' .. partition .. ':' .. offset or closed_by_older(value, partition, offset)
  if free or holder == bar or since == '0' then
    value = 'B' .. bar .. ':' .. string.format('%.0f', now)
    put(bucket, ARGV[at], value)
  end
  out[i] = value
end
return out
