-- A rebuild has ended. KEYS: lock. ARGV: token.
if holds(KEYS[1], ARGV[1]) then redis.call('DEL', KEYS[1]) end
