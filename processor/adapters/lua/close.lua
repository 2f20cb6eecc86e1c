-- The ledger holds that a record ended without a mail: closes its key, unless the key knows better.
-- KEYS: one bucket per item
-- ARGV per item: user id, partition, offset, bucket's expiry (unix s)
for i = 1, #KEYS do
  local bucket, at = KEYS[i], (i - 1) * 4 + 1
  local value = redis.call('HGET', bucket, ARGV[at])
  local partition, offset = string.match(value or '', '^D(%d+):(%d+)$')
  local older = partition and not (partition == ARGV[at + 1] and tonumber(offset) >= tonumber(ARGV[at + 2]))
  if not value or older then
    redis.call('HSET', bucket, ARGV[at], 'D' .. ARGV[at + 1] .. ':' .. ARGV[at + 2])
    if redis.call('HLEN', bucket) == 1 then
      redis.call('EXPIREAT', bucket, ARGV[at + 3])
    end
  end
end
return #KEYS
