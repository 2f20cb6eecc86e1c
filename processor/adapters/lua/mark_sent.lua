-- SES accepted: a fact, written over anything that knows less, whole or not.
-- KEYS: one bucket per item
-- ARGV per item: user id, message id, bucket's expiry (unix s)
-- Returns per item 1, or 0 when the key was sent already (under another message id, or recorded).
local out = {}
for i = 1, #KEYS do
  local at = (i - 1) * 3 + 1
  local value, fact = redis.call('HGET', KEYS[i], ARGV[at]) or '', 'S' .. ARGV[at + 1]
  local state = string.sub(value, 1, 1)
  if state == 's' or (state == 'S' and value ~= fact) then
    out[i] = 0
  else
    put(KEYS[i], ARGV[at], fact, ARGV[at + 2])
    out[i] = 1
  end
end
return out
