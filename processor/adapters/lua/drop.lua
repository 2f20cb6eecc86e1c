-- SES's own event says that it accepted the message and dropped it: a fact about one attempt, whole or not.
-- KEYS: one bucket per item
-- ARGV per item: user id, message id (short), attempt, what follows the attempt (its message, as long as the ledger does not
-- hold this), message id (as 0.1 wrote it)
-- Returns each key's value before the step.
local out = {}
for i = 1, #KEYS do
  local at = (i - 1) * 5 + 1
  local user = ARGV[at]
  local value = redis.call('HGET', KEYS[i], user) or ''
  local after = with_drop(value, ARGV[at + 2], ARGV[at + 3], ARGV[at + 1], ARGV[at + 4])
  if after ~= value then put(KEYS[i], user, after) end
  out[i] = value
end
return out
