-- Mails that the group had leased a moment ago: later ones SES may not have counted yet.
-- KEYS: budget
-- ARGV: ms that a moment lasts
local held = redis.call('HMGET', KEYS[1], 'leased', 'marked', 'marked_at', 'marked_before')
local age = now_ms() - tonumber(held[3] or 0)
if age >= 2 * tonumber(ARGV[1]) then return tonumber(held[1] or 0) end
return tonumber((age >= tonumber(ARGV[1]) and held[2] or held[4]) or 0)
