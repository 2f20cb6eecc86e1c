-- The answer is lost: keys still claimed by their item's attempt become uncertain.
-- Only in a set that is whole, as whatever lowers: another life's claim of the attempt lasts for its lifetime.
-- KEYS: marker, then one bucket per item
-- ARGV per item: user id, attempt
-- Returns each key's value after the step: evidence may have been quicker.
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
local out = {}
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], (i - 1) * 2 + 1
  local value = redis.call('HGET', bucket, ARGV[at]) or ''
  if string.match(value, '^A(.-):%d+$') == ARGV[at + 1] then
    value = 'U' .. ARGV[at + 1]
    redis.call('HSET', bucket, ARGV[at], value)
  end
  out[i] = value
end
return out
