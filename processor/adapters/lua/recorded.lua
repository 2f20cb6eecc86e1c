-- Each key's claim if the ledger holds `sent` for it, else nothing. Such a claim is a fact, whether the set is whole or not.
-- KEYS: one bucket per item
-- ARGV: per item: user id
local out = {}
for i = 1, #KEYS do
  local value = redis.call('HGET', KEYS[i], ARGV[i])
  out[i] = value and string.byte(value) == 115 and value or ''
end
return out
