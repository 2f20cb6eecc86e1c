-- Entries of a set that is adopted become what follows for them, unless a fact of SES's came between.
-- KEYS: lock, then one bucket per item
-- ARGV: token, ms until the lock ends by itself; per item: user id, value as it was read, value after (empty: none)
if not holds(KEYS[1], ARGV[1]) then
  return redis.error_reply('NOTHELD the adoption has lost its lock')
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], i * 3
  if redis.call('HGET', bucket, ARGV[at]) == ARGV[at + 1] then
    if ARGV[at + 2] == '' then
      redis.call('HDEL', bucket, ARGV[at])
    else
      redis.call('HSET', bucket, ARGV[at], ARGV[at + 2])
    end
  end
end
return #KEYS - 1
