-- Certainly not sent: frees keys that are still claimed, or barred, by their item's attempt.
-- KEYS: one bucket per item
-- ARGV per item: user id, attempt
for i = 1, #KEYS do
  local at = (i - 1) * 2 + 1
  local value = redis.call('HGET', KEYS[i], ARGV[at])
  if value and string.match(value, '^[AB](.-):%d+$') == ARGV[at + 1] then
    redis.call('HDEL', KEYS[i], ARGV[at])
  end
end
return #KEYS
