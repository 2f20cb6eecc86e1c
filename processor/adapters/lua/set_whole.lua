-- The last step of a rebuild: the set is whole, if the rebuild still holds the lock. KEYS: marker, lock. ARGV: token.
-- Returns 1 when the marker was set.
if not holds(KEYS[2], ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], run_id())
redis.call('DEL', KEYS[2])
return 1
