-- An adoption begins: nobody is granted anything by this set any more, whoever counted it as theirs.
-- KEYS: marker, lock, checkpoint. ARGV: the lock's token, what stands for the installation meanwhile, for whom.
-- Returns whose set it was, also when an adoption was broken off before, and 1 when it was whole until now for whoever asks.
if not holds(KEYS[2], ARGV[1]) then
  return redis.error_reply('NOTHELD the adoption has lost its lock')
end
local whole = is_whole(KEYS[1]) and 1 or 0
local whose = marked(KEYS[1]).installation or ''
if whose == ARGV[2] then whose = redis.call('HGET', KEYS[1], 'adopts') or '' end
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('HSET', KEYS[1], 'installation', ARGV[2], 'adopts', whose)
return { whose, whole }
