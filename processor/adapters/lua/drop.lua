-- SES's own event says that it accepted the message and dropped it: a fact about one attempt, whole or not.
-- KEYS: one bucket per item
-- ARGV per item: user id, message id (short), attempt, what follows the attempt (its message, as long as the ledger does not
-- hold this), message id (as 0.1 wrote it)
-- Returns each key's value before the step.
local out = {}
for i = 1, #KEYS do
  local at = (i - 1) * 5 + 1
  local user, attempt = ARGV[at], ARGV[at + 2]
  local value = redis.call('HGET', KEYS[i], user) or ''
  local state = string.sub(value, 1, 1)
  local holder = string.match(value, '^[AB](.-):%d+$') or string.match(value, '^[UuR]([^:]+)') or string.match(value, '^s.-:(.+)$')
  -- Of several open intents one was called for: SES's word tells which.
  local named = not holder
  for _, name in ipairs(attempts_in(holder)) do named = named or name == attempt end
  local message = string.match(value, '^S(.*):[^:]*$') or string.sub(value, 2)
  local same = message == ARGV[at + 1] or message == ARGV[at + 4]
  local another = not named or (state == 'S' and not same)
  if not another and value ~= 'R' .. attempt then
    put(KEYS[i], user, 'R' .. attempt .. ARGV[at + 3])
  end
  out[i] = value
end
return out
