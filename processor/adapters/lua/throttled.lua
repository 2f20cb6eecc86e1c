-- SES throttled: the group's rate halves, once for all the calls of one moment.
-- KEYS: bucket
-- ARGV: ms that count as one moment, the smallest share
-- Returns the share in thousandths.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'share', 'throttled')
local share = tonumber(held[1] or 1)
if now - tonumber(held[2] or 0) >= tonumber(ARGV[1]) then
  share = math.max(tonumber(ARGV[2]), share / 2)
  redis.call('HSET', KEYS[1], 'share', tostring(share), 'throttled', now, 'tokens', 0)
  redis.call('PEXPIRE', KEYS[1], 600000)
end
return math.floor(share * 1000)
