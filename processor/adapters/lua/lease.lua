-- The group's token bucket: takes up to `wanted` tokens.
-- KEYS: bucket (hash: tokens, at)
-- ARGV: rate a second, capacity, wanted
-- Returns {granted, ms until one more token}.
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local rate, capacity, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(held[1] or capacity)
local since = tonumber(held[2] or now)
tokens = math.min(capacity, tokens + math.max(0, now - since) * rate / 1000)
local granted = math.min(wanted, math.floor(tokens))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', string.format('%.3f', now))
redis.call('PEXPIRE', KEYS[1], 600000)
return { granted, math.ceil(math.max(0, 1 - tokens) * 1000 / rate) }
