-- Claims keys just before their calls, all in one step.
-- KEYS: marker, then one bucket per item
-- ARGV: lifetime ms; per item: user id, attempt, partition, offset, bucket's expiry (unix s)
-- Returns each key's value after the step; NOTWHOLE when the marker is missing.
-- Bucket: hash of user id -> claim (forms: processor/core/states.py).
if redis.call('EXISTS', KEYS[1]) == 0 then
  return redis.error_reply('NOTWHOLE the dedup set is not whole')
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lifetime = tonumber(ARGV[1])
local out = {}
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], (i - 1) * 5 + 2
  local user, attempt = ARGV[at], ARGV[at + 1]
  local value = redis.call('HGET', bucket, user)
  local free = not value
  if value then
    local state = string.sub(value, 1, 1)
    if state == 'A' then
      local holder, since = string.match(value, '^A(.-):(%d+)$')
      if holder == attempt then
        free = true
      elseif now - tonumber(since) >= lifetime then
        value = 'U' .. holder
        redis.call('HSET', bucket, user, value)
      end
    elseif state == 'D' then
      local partition, offset = string.match(value, '^D(%d+):(%d+)$')
      free = partition ~= ARGV[at + 2] or tonumber(offset) < tonumber(ARGV[at + 3])
    end
  end
  if free then
    value = 'A' .. attempt .. ':' .. string.format('%.0f', now)
    if redis.call('HSET', bucket, user, value) == 1 and redis.call('HLEN', bucket) == 1 then
      redis.call('EXPIREAT', bucket, ARGV[at + 4])
    end
  end
  out[i] = value
end
return out
