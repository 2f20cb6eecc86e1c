-- SES refused these for good: keys still claimed by their item's attempt are barred until its dead letter has committed.
-- KEYS: one bucket per item
-- ARGV per item: user id, attempt
local now = now_ms()
for i = 1, #KEYS do
  local at = (i - 1) * 2 + 1
  local value = redis.call('HGET', KEYS[i], ARGV[at])
  if value and string.match(value, '^A(.-):%d+$') == ARGV[at + 1] then
    redis.call('HSET', KEYS[i], ARGV[at], 'B' .. ARGV[at + 1] .. ':' .. string.format('%.0f', now))
  end
end
return #KEYS
