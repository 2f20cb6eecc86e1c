-- Each key's claim; an expired one becomes uncertain, nothing else changes.
-- KEYS: marker, then one bucket per item
-- ARGV: lifetime ms; per item: user id
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
local now, out = now_ms(), {}
for i = 1, #KEYS - 1 do
  out[i] = current(KEYS[i + 1], ARGV[i + 1], now, tonumber(ARGV[1]))
end
return out
