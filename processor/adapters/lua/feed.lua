-- The latest sending time that the event feed has told of.
-- KEYS: the time (ms). ARGV: a time just seen, or 0. Returns the latest of both.
local latest = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1]))
if latest > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', latest))
end
return string.format('%.0f', latest)
