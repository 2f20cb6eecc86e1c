-- The answer is lost: keys still claimed by their item's attempt become uncertain.
-- KEYS: one bucket per item
-- ARGV per item: user id, attempt
for i = 1, #KEYS do
  local at = (i - 1) * 2 + 1
  local value = redis.call('HGET', KEYS[i], ARGV[at])
  if value and string.match(value, '^A(.-):%d+$') == ARGV[at + 1] then
    redis.call('HSET', KEYS[i], ARGV[at], 'U' .. ARGV[at + 1])
  end
end
return #KEYS
