-- Records that must not reach SES: bars their keys until their dead letters have committed, unless somebody holds the key
-- or knows better of it; an expired claim becomes uncertain.
-- KEYS: marker, then one bucket per item
-- ARGV: lifetime ms; per item: user id, whose bar it is, partition, offset
-- Returns each key's value after the step.
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
local now, out = now_ms(), {}
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], (i - 1) * 4 + 2
  local value = current(bucket, ARGV[at], now, tonumber(ARGV[1]))
  local mine = string.match(value, '^B(.-):%d+$') == ARGV[at + 1]
  if value == '' or mine or closed_by_older(value, ARGV[at + 2], ARGV[at + 3]) then
    value = 'B' .. ARGV[at + 1] .. ':' .. string.format('%.0f', now)
    put(bucket, ARGV[at], value)
  end
  out[i] = value
end
return out
