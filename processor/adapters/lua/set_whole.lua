-- The rebuild is done. KEYS: marker, lock, checkpoint, seals. ARGV: token, installation, lineage, up to where ledger and
-- attempts are in it (empty: nobody knows), 1 when all of it was read. The marker never expires: that would be a wipe.
-- Returns 0, and marks nothing, when the lock is no longer the token's.
if not holds(KEYS[2], ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'installation', ARGV[2], 'lineage', ARGV[3], 'run', run_id(), 'replication', replication_id(),
  'granted', 0)
if ARGV[4] == '' then
  redis.call('DEL', KEYS[3])
  return 1
end
redis.call('HSET', KEYS[3], 'places', ARGV[4])
redis.call('HINCRBY', KEYS[3], 'moves', 1)
if ARGV[5] == '1' then
  local sealed = now_ms() + 100 * 365 * 86400000
  redis.call('HSET', KEYS[3], 'sealed', string.format('%.0f', sealed))
  for i = 4, #KEYS do
    redis.call('SET', KEYS[i], '')
    redis.call('PEXPIREAT', KEYS[i], string.format('%.0f', sealed + i))
  end
end
return 1
