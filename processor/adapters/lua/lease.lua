-- The group's token bucket: takes up to `wanted` tokens.
-- KEYS: bucket (hash: tokens, at, share)
-- ARGV: rate a second, capacity in seconds, wanted, recovery a second
-- Returns {granted, ms until one more token}.
-- `share` is what throttling left of the rate: it halves on a throttle and comes back by the same amount each second.
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'share')
local passed = math.max(0, now - tonumber(held[2] or now))
local share = math.min(1, tonumber(held[3] or 1) + passed * tonumber(ARGV[4]) / 1000)
local rate, wanted = tonumber(ARGV[1]) * share, tonumber(ARGV[3])
local capacity = math.max(1, rate * tonumber(ARGV[2]))
local tokens = math.min(capacity, tonumber(held[1] or capacity) + passed * rate / 1000)
local granted = math.min(wanted, math.floor(tokens))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', string.format('%.3f', now), 'share', tostring(share))
redis.call('PEXPIRE', KEYS[1], 600000)
return { granted, math.ceil(math.max(0, 1 - tokens) * 1000 / rate) }
