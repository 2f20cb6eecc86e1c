-- SES accepted, by its answer or by its own event: a fact, written over anything that knows less, whole or not.
-- KEYS: one bucket per item
-- ARGV per item: user id, message id (short), attempt, fingerprint of what went out, message id
-- Returns each key's value before and after the step: another message may stand there, or SES may have dropped this one.
local out = {}
for i = 1, #KEYS do
  local at = (i - 1) * 5 + 1
  local before = redis.call('HGET', KEYS[i], ARGV[at]) or ''
  local after, state = before, string.sub(before, 1, 1)
  if state ~= 's' and state ~= 'S' and string.match(before, '^R([^:]+)') ~= ARGV[at + 2] then
    after = 'S' .. ARGV[at + 1] .. ':' .. ARGV[at + 3]
    put(KEYS[i], ARGV[at], after)
  end
  out[i] = { before, after }
end
return out
