-- The group's budget: takes up to `wanted` mails of the rate (a token bucket) and of the account's rolling quota.
-- KEYS: budget (hash: tokens, at, share, room, leased, marked, marked_at, marked_before), spent (hash: number of a step of the window -> mails)
-- ARGV: rate a second (0: without limit), capacity in seconds, wanted, recovery a second, 1 if there is a quota, ms a step,
--   ms of a moment
-- Returns {granted, ms until one more token, mails that the quota still takes}: -1 without a quota, -2 when nobody has told.
-- `share` is what throttling left of the rate: it halves on a throttle and comes back by the same amount each second.
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'share', 'room')
local passed = math.max(0, now - tonumber(held[2] or now))
local share = math.min(1, tonumber(held[3] or 1) + passed * tonumber(ARGV[4]) / 1000)
local rate, granted = tonumber(ARGV[1]) * share, tonumber(ARGV[3])
local capacity, room = math.max(1, rate * tonumber(ARGV[2])), -1
local tokens = math.min(capacity, tonumber(held[1] or capacity) + passed * rate / 1000)
if rate > 0 then
  granted = math.min(granted, math.floor(tokens))
end
if ARGV[5] == '1' then
  room = tonumber(held[4] or -2)
  granted = math.max(0, math.min(granted, room))
end
if rate > 0 then tokens = tokens - granted end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', string.format('%.3f', now), 'share', tostring(share))
if granted > 0 then
  local leased = redis.call('HINCRBY', KEYS[1], 'leased', granted)
  -- What was leased one or two moments ago: see leased.lua.
  local marks = redis.call('HMGET', KEYS[1], 'marked', 'marked_at')
  if now - tonumber(marks[2] or 0) >= tonumber(ARGV[7]) then
    redis.call('HSET', KEYS[1], 'marked', leased - granted, 'marked_at', now_ms(), 'marked_before', marks[1] or 0)
  end
  if room >= 0 then
    room = room - granted
    redis.call('HSET', KEYS[1], 'room', room)
    local step = math.floor(now / tonumber(ARGV[6]))
    if redis.call('HINCRBY', KEYS[2], step, granted) == granted then
      for _, old in ipairs(redis.call('HKEYS', KEYS[2])) do
        if tonumber(old) < step - 144 then redis.call('HDEL', KEYS[2], old) end
      end
    end
    redis.call('PEXPIRE', KEYS[2], 144 * tonumber(ARGV[6]) + 600000)
  end
end
redis.call('PEXPIRE', KEYS[1], 600000)
return { granted, rate > 0 and math.ceil(math.max(0, 1 - tokens) * 1000 / rate) or 0, room }
