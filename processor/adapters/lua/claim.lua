-- Claims keys just before their calls, all in one step.
-- KEYS: marker, then one bucket per item
-- ARGV: lifetime ms; per item: user id, attempt, partition, offset, bucket's expiry (unix s), attempt that a resend
-- overrides (or nothing)
-- Returns each key's value after the step; NOTWHOLE when the marker does not stand.
-- Bucket: hash of user id -> claim (forms: processor/core/states.py).
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
local now, lifetime = now_ms(), tonumber(ARGV[1])
local out = {}
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], (i - 1) * 6 + 2
  local user, attempt = ARGV[at], ARGV[at + 1]
  local mine = 'A' .. attempt .. ':'
  local value = redis.call('HGET', bucket, user) or ''
  local free = value == '' or string.sub(value, 1, #mine) == mine
  if not free then
    value = current(bucket, user, now, lifetime)
    local partition, offset = string.match(value, '^D(%d+):(%d+)$')
    free = partition and (partition ~= ARGV[at + 2] or tonumber(offset) < tonumber(ARGV[at + 3]))
    free = free or (ARGV[at + 5] ~= '' and string.match(value, '^[UuR]([^:]+)') == ARGV[at + 5])
  end
  if free then
    value = mine .. string.format('%.0f', now)
    put(bucket, user, value, ARGV[at + 4])
  end
  out[i] = value
end
return out
