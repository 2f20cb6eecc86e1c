-- Each key's claim; an expired one becomes uncertain, nothing else changes.
-- KEYS: marker, then one bucket per item
-- ARGV: lifetime ms; per item: user id
if redis.call('EXISTS', KEYS[1]) == 0 then
  return redis.error_reply('NOTWHOLE the dedup set is not whole')
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local out = {}
for i = 1, #KEYS - 1 do
  local value = redis.call('HGET', KEYS[i + 1], ARGV[i + 1])
  local holder, since = string.match(value or '', '^A(.-):(%d+)$')
  if holder and now - tonumber(since) >= tonumber(ARGV[1]) then
    value = 'U' .. holder
    redis.call('HSET', KEYS[i + 1], ARGV[i + 1], value)
  end
  out[i] = value or ''
end
return out
