-- SES refused these for good: keys still claimed by their item's attempt are barred until its dead letter has committed.
-- Where several are held together it is taken out: the others may have been called for.
-- Only in a set that is whole: another life's claim of the attempt bars the key as well.
-- KEYS: marker, then one bucket per item
-- ARGV per item: user id, attempt
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
local now = now_ms()
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], (i - 1) * 2 + 1
  local user, attempt = ARGV[at], ARGV[at + 1]
  local holder, since = string.match(redis.call('HGET', bucket, user) or '', '^A(.-):(%d+)$')
  local others, mine = {}, false
  for _, name in ipairs(attempts_in(holder)) do
    if name == attempt then mine = true else others[#others + 1] = name end
  end
  if mine and #others > 0 then
    redis.call('HSET', bucket, user, 'A' .. joined(others) .. ':' .. since)
  elseif mine then
    redis.call('HSET', bucket, user, 'B' .. attempt .. ':' .. string.format('%.0f', now))
  end
end
return #KEYS - 1
