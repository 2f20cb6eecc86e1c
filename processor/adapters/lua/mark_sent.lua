-- SES accepted: a fact, written over anything that knows less, whole or not.
-- KEYS: one bucket per item
-- ARGV per item: user id, message id, attempt, bucket's expiry (unix s)
-- Returns each key's value after the step: another message may stand there, or SES may have dropped this one already.
local out = {}
for i = 1, #KEYS do
  local at = (i - 1) * 4 + 1
  local value, fact = redis.call('HGET', KEYS[i], ARGV[at]) or '', 'S' .. ARGV[at + 1]
  local state = string.sub(value, 1, 1)
  if state ~= 's' and state ~= 'S' and value ~= 'R' .. ARGV[at + 2] then
    put(KEYS[i], ARGV[at], fact, ARGV[at + 3])
    value = fact
  end
  out[i] = value
end
return out
