-- The ledger holds that a record ended without a mail: closes its key, unless the key knows better.
-- KEYS: one bucket per item
-- ARGV per item: user id, partition, offset, attempt
for i = 1, #KEYS do
  local at = (i - 1) * 4 + 1
  local value = redis.call('HGET', KEYS[i], ARGV[at]) or ''
  local after = with_close(value, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  if after ~= value then put(KEYS[i], ARGV[at], after) end
end
return #KEYS
