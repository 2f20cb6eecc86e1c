-- The ledger holds that a record ended without a mail: closes its key, unless the key knows better.
-- Only in a set that is whole: in one of another life this may be older than what was put back.
-- KEYS: marker, then one bucket per item
-- ARGV per item: user id, partition, offset, attempt
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], (i - 1) * 4 + 1
  local value = redis.call('HGET', bucket, ARGV[at]) or ''
  local after = with_close(value, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  if after ~= value then put(bucket, ARGV[at], after) end
end
return #KEYS - 1
