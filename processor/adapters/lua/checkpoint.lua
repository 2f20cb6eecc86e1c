-- Where a rebuild may begin: the set's checkpoint, where the set can be nothing but a prefix of what was written to it.
-- What a file or a replica brings back is one. What was copied key by key is none: its seals, which expire in a hundred
-- years, each at a millisecond of its own, were put in anew at other milliseconds, or without any. Nor is a set that an older
-- dump was loaded into while this very server ran, which its grants show, nor one without marker. Then the checkpoint goes.
-- KEYS: marker, lock, checkpoint, seals. ARGV: the lock's token, for whom.
-- Returns the checkpoint, or nothing, and 1 where the server tells at which millisecond a key expires (Redis 7, Valkey).
if not holds(KEYS[2], ARGV[1]) then
  return redis.error_reply('NOTHELD the rebuild has lost its lock')
end
local installation, lineage, seen = string.match(ARGV[#ARGV], '^(%S+) (%S+) (%d+)$')
local marker = marked(KEYS[1])
local held = redis.call('HMGET', KEYS[3], 'places', 'sealed')
local good = held[1] and held[2] and marker.installation == installation and marker.lineage
local here = marker.run == run_id() and marker.lineage == lineage
good = good and not (here and (marker.granted or 0) < tonumber(seen))
for i = 4, good and #KEYS or 0 do
  local expires = redis.pcall('PEXPIRETIME', KEYS[i])
  good = good and expires == tonumber(held[2]) + i
end
local tells = type(redis.pcall('PEXPIRETIME', KEYS[1])) == 'number' and 1 or 0
if good then return { held[1], tells } end
redis.call('DEL', KEYS[3])
return { '', tells }
