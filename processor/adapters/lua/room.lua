-- What the account's rolling quota still takes, as just asked of SES; leases granted since the asking are taken off.
-- KEYS: budget
-- ARGV: mails left, `leased` before SES was asked
local since = tonumber(redis.call('HGET', KEYS[1], 'leased') or 0) - tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'room', math.max(0, tonumber(ARGV[1]) - math.max(0, since)))
redis.call('PEXPIRE', KEYS[1], 600000)
