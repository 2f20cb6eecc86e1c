-- The ledger holds these outcomes, so they are facts.
-- KEYS: one bucket per item
-- ARGV per item: user id, what (s or u), value's text, attempt
-- Returns each key's value after the step.
local out = {}
for i = 1, #KEYS do
  local at = (i - 1) * 4 + 1
  local value = redis.call('HGET', KEYS[i], ARGV[at]) or ''
  out[i] = with_record(value, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  if out[i] ~= value then put(KEYS[i], ARGV[at], out[i]) end
end
return out
