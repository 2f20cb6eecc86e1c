-- SES's own event proves acceptance: a fact, whole or not. Like mark_sent, but tells what stood there before.
-- KEYS: one bucket per item
-- ARGV per item: user id, message id, attempt, bucket's expiry (unix s)
local out = {}
for i = 1, #KEYS do
  local at = (i - 1) * 4 + 1
  local value = redis.call('HGET', KEYS[i], ARGV[at]) or ''
  local state = string.sub(value, 1, 1)
  if state ~= 's' and state ~= 'S' and value ~= 'R' .. ARGV[at + 2] then
    put(KEYS[i], ARGV[at], 'S' .. ARGV[at + 1], ARGV[at + 3])
  end
  out[i] = value
end
return out
