-- The answer is lost: keys still claimed by their item's attempt become uncertain.
-- KEYS: one bucket per item
-- ARGV per item: user id, attempt
-- Returns each key's value after the step: evidence may have been quicker.
local out = {}
for i = 1, #KEYS do
  local at = (i - 1) * 2 + 1
  local value = redis.call('HGET', KEYS[i], ARGV[at]) or ''
  if string.match(value, '^A(.-):%d+$') == ARGV[at + 1] then
    value = 'U' .. ARGV[at + 1]
    redis.call('HSET', KEYS[i], ARGV[at], value)
  end
  out[i] = value
end
return out
