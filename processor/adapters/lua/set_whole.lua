-- The rebuild is done. KEYS: marker, lock. ARGV: token, installation, lineage. The marker never expires: that would be a wipe.
-- Returns 0, and marks nothing, when the lock is no longer the token's.
if not holds(KEYS[2], ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'installation', ARGV[2], 'lineage', ARGV[3], 'run', run_id(), 'replication', replication_id(),
  'granted', 0)
return 1
