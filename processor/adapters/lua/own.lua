-- An adoption is done: the set is this installation's, and not whole before its next rebuild.
-- KEYS: marker, lock. ARGV: the lock's token, installation. Ends the lock.
if not holds(KEYS[2], ARGV[1]) then
  return redis.error_reply('NOTHELD the adoption has lost its lock')
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'installation', ARGV[2])
return 1
