-- Who follows: one for all, as long as that one comes back in time. It spares work; a checkpoint that two move stays right.
-- KEYS: marker, checkpoint. ARGV: who asks, ms until another may, for whom.
-- Returns how often the checkpoint has moved, and where it stands; nothing for whoever is not the one, or without one.
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
local now = now_ms()
local held = redis.call('HMGET', KEYS[2], 'moves', 'places', 'follower', 'until')
if not held[1] or (held[3] and held[3] ~= ARGV[1] and now < tonumber(held[4])) then return {} end
redis.call('HSET', KEYS[2], 'follower', ARGV[1], 'until', string.format('%.0f', now + tonumber(ARGV[2])))
return { held[1], held[2] }
