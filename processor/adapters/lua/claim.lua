-- Claims keys just before their calls, all in one step.
-- KEYS: marker, floor, then per item its bucket and its bucket of places
-- ARGV: lifetime ms; per item: user id, attempt, partition, offset, attempt that a resend overrides (or nothing)
-- Returns each key's value after the step, or the place up to which its records count no more, and how many scripts have
-- granted something; NOTWHOLE when the marker does not stand, BELOW and the floor when an item's month is closed: then
-- nothing is granted at all.
-- Bucket: hash of user id -> claim (forms: processor/core/states.py).
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
-- What stood below the floor is gone: an absent key says nothing there. A bucket's name ends in `YYYY-MM:BBBB`.
local floor = redis.call('GET', KEYS[2]) or ''
for i = 3, #KEYS, 2 do
  if string.sub(KEYS[i], -12, -6) < floor then return redis.error_reply('BELOW ' .. floor) end
end
local now, lifetime = now_ms(), tonumber(ARGV[1])
local function superseded(places, user, partition, offset)
  for p, o in string.gmatch(redis.call('HGET', places, user) or '', '(%d+):(%d+)') do
    if p == partition and tonumber(o) >= tonumber(offset) then return 'D' .. p .. ':' .. o end
  end
end
local out = {}
for i = 1, (#KEYS - 2) / 2 do
  local bucket, places, at = KEYS[2 * i + 1], KEYS[2 * i + 2], (i - 1) * 5 + 2
  local user, attempt = ARGV[at], ARGV[at + 1]
  local mine = 'A' .. attempt .. ':'
  local value = redis.call('HGET', bucket, user) or ''
  local free = value == '' or string.sub(value, 1, #mine) == mine
  if not free then
    value = current(bucket, user, now, lifetime)
    free = closed_by_older(value, ARGV[at + 2], ARGV[at + 3])
    free = free or (ARGV[at + 4] ~= '' and string.match(value, '^[UuR]([^:]+)') == ARGV[at + 4])
  end
  -- A claim that is mine already is not freed here: this may be a late copy of the request that was granted, and the call
  -- be under way. Its process knows, and gives it back.
  local place = free and superseded(places, user, ARGV[at + 2], ARGV[at + 3])
  if free and not place then
    value = mine .. string.format('%.0f', now)
    put(bucket, user, value)
  end
  out[i] = place or value
end
out[#out + 1] = note_grant(KEYS[1])
return out
