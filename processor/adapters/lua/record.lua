-- The ledger holds these as sent: facts, whether the set is whole or not.
-- KEYS: one bucket per item
-- ARGV per item: user id, value's text, attempt
-- Returns each key's value after the step.
local out = {}
for i = 1, #KEYS do
  local at = (i - 1) * 3 + 1
  local value = redis.call('HGET', KEYS[i], ARGV[at]) or ''
  out[i] = with_record(value, 's', ARGV[at + 1], ARGV[at + 2])
  if out[i] ~= value then put(KEYS[i], ARGV[at], out[i]) end
end
return out
