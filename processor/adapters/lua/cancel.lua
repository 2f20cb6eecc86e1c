-- A tombstone closes keys that nothing was attempted for; an expired claim becomes uncertain.
-- KEYS: marker, then one bucket per item
-- ARGV: lifetime ms; per item: user id, partition, offset, bucket's expiry (unix s)
-- Returns each key's value after the step.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return redis.error_reply('NOTWHOLE the dedup set is not whole')
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local out = {}
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], (i - 1) * 4 + 2
  local value = redis.call('HGET', bucket, ARGV[at])
  local holder, since = string.match(value or '', '^A(.-):(%d+)$')
  if not value then
    value = 'D' .. ARGV[at + 1] .. ':' .. ARGV[at + 2]
    redis.call('HSET', bucket, ARGV[at], value)
    if redis.call('HLEN', bucket) == 1 then
      redis.call('EXPIREAT', bucket, ARGV[at + 3])
    end
  elseif holder and now - tonumber(since) >= tonumber(ARGV[1]) then
    value = 'U' .. holder
    redis.call('HSET', bucket, ARGV[at], value)
  end
  out[i] = value
end
return out
