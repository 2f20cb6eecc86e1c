-- A newer record stands behind these places, so no record up to them is claimed any more: whatever becomes of the claim, the
-- place stands beside it. It is never lowered; a key whose records stand in two partitions has a place in each.
-- KEYS: marker, then per item its bucket and its bucket of places
-- ARGV: lifetime ms; per item: user id, partition, offset
-- Returns each key's value; an expired claim becomes uncertain.
-- Bucket of places: hash of user id -> "partition:offset", several between blanks.
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
local now, out = now_ms(), {}
for i = 1, (#KEYS - 1) / 2 do
  local bucket, places, at = KEYS[2 * i], KEYS[2 * i + 1], (i - 1) * 3 + 2
  local user, partition, offset = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local kept = {}
  for p, o in string.gmatch(redis.call('HGET', places, user) or '', '(%d+):(%d+)') do
    if p == partition then
      offset = math.max(offset, tonumber(o))
    else
      kept[#kept + 1] = p .. ':' .. o
    end
  end
  if offset >= 0 then
    kept[#kept + 1] = partition .. ':' .. string.format('%.0f', offset)
    put(places, user, table.concat(kept, ' '))
  end
  out[i] = current(bucket, user, now, tonumber(ARGV[1]))
end
return out
