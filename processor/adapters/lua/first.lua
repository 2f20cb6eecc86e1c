-- Places among a month's first mails, which go before the others: taken by all processors of the group, or given back.
-- KEYS: how many are taken
-- ARGV: wanted (negative: given back), how many there are
-- Returns how many of the wanted ones were taken.
local taken, wanted = tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(ARGV[1])
local granted = wanted < 0 and math.max(wanted, -taken) or math.max(0, math.min(wanted, tonumber(ARGV[2]) - taken))
if granted ~= 0 then redis.call('SET', KEYS[1], taken + granted, 'EX', 8640000) end
return math.max(0, granted)
