-- The ledger holds that a record ended without a mail: closes its key, unless the key knows better.
-- KEYS: one bucket per item
-- ARGV per item: user id, partition, offset, attempt
for i = 1, #KEYS do
  local bucket, at = KEYS[i], (i - 1) * 4 + 1
  local value = redis.call('HGET', bucket, ARGV[at]) or ''
  local partition, offset = string.match(value, '^D(%d+):(%d+)$')
  local older = partition and not (partition == ARGV[at + 1] and tonumber(offset) >= tonumber(ARGV[at + 2]))
  local mine = ARGV[at + 3] ~= '' and string.match(value, '^[AB](.-):%d+$') == ARGV[at + 3]
  if value == '' or older or mine then
    put(bucket, ARGV[at], 'D' .. ARGV[at + 1] .. ':' .. ARGV[at + 2])
  end
end
return #KEYS
