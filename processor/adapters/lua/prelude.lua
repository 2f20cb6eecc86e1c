-- Put before every script here.
-- The marker holds the run id of the server under which the set was last known to be whole. A restart or a failover gives
-- another run id: whatever came back, from a file or a replica, may lack the last writes, so the set is not whole.
-- A server that does not tell (an ACL without INFO, INFO renamed) could be any: '' is no run, and nothing is whole under it.
local function run_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
end
local function is_whole(marker)
  local id = run_id()
  return id ~= '' and redis.call('GET', marker) == id
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
local function put(bucket, user, value, expiry)
  if redis.call('HSET', bucket, user, value) == 1 and redis.call('HLEN', bucket) == 1 then
    redis.call('EXPIREAT', bucket, expiry)
  end
end
