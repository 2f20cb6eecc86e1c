-- Put before every script here.
-- Who the server is. A restart or a failover gives another run id, and another replication id: whatever came back, from a
-- file or a replica, may lack the last writes. A server that does not tell (an ACL without INFO, INFO renamed) could be any:
-- '' is no run, and nothing is whole under it.
local function run_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
end
local function replication_id()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
end
-- The marker is a hash: whose set it is, the lineage under which it is whole, the ids of the server that it was made whole
-- on, and how many scripts have granted something since. 0.1 keeps a string there, and stands still before a hash.
local function marked(marker)
  if redis.call('TYPE', marker).ok ~= 'hash' then return {} end
  local held = redis.call('HMGET', marker, 'installation', 'lineage', 'run', 'replication', 'granted')
  return { installation = held[1], lineage = held[2], run = held[3], replication = held[4], granted = tonumber(held[5]) }
end
-- Whether the set is whole on this very server. `seen`: the highest number of grants that is known of the lineage; where
-- the marker holds less, an older dump was loaded key by key.
local function is_whole_here(held, seen)
  local run = run_id()
  return run ~= '' and held.run == run and held.replication == replication_id() and held.granted >= seen
end
-- The last argument says for whom: installation, lineage (- for none) and the grants known of it, between blanks.
local function is_whole(marker)
  local installation, lineage, seen = string.match(ARGV[#ARGV], '^(%S+) (%S+) (%d+)$')
  local held = marked(marker)
  return held.installation == installation and held.lineage == lineage and is_whole_here(held, tonumber(seen))
end
-- Something is granted: returns how many times that has happened.
local function note_grant(marker)
  return redis.call('HINCRBY', marker, 'granted', 1)
end
-- A rebuild's lock holds its token and the run id of the server that granted it. FLUSHALL, a restart, a failover, its end
-- after a suspension, or a second rebuild take it away, and nothing more of that rebuild counts.
local function holds(lock, token)
  local id = run_id()
  return id ~= '' and redis.call('GET', lock) == token .. ':' .. id
end
local NOT_WHOLE = 'NOTWHOLE the dedup set is not whole'
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- The value as it is now: a claim past its lifetime has become uncertain, a bar past it counts from 0.
local function current(bucket, user, now, lifetime)
  local value = redis.call('HGET', bucket, user) or ''
  local holder, since = string.match(value, '^A(.-):(%d+)$')
  if holder and now - tonumber(since) >= lifetime then
    value = 'U' .. holder
    redis.call('HSET', bucket, user, value)
  end
  local bar, from = string.match(value, '^B(.-):(%d+)$')
  if bar and from ~= '0' and now - tonumber(from) >= lifetime then
    value = 'B' .. bar .. ':0'
    redis.call('HSET', bucket, user, value)
  end
  return value
end
-- 0.1 let its buckets expire, and one that still runs may have begun this one: what Redis forgets by itself would be sent
-- again. Only a floor takes entries away.
local function put(bucket, user, value)
  if redis.call('HSET', bucket, user, value) == 1 then redis.call('PERSIST', bucket) end
end
-- Whether a record before this place, or one of another partition, closed the key.
local function closed_by_older(value, partition, offset)
  local ended, ended_at = string.match(value, '^D(%d+):(%d+)$')
  return ended and (ended ~= partition or tonumber(ended_at) < tonumber(offset))
end
-- The attempts that a claim's holder stands for: '~a~b' are claimed by nobody, and each may have been called for.
local function attempts_in(holder)
  local names = {}
  for name in string.gmatch(holder or '', '[^~]+') do
    names[#names + 1] = name
  end
  return names
end
local function joined(names, alone)
  return (#names == 1 and alone) and names[1] or '~' .. table.concat(names, '~')
end
