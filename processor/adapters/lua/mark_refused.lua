-- SES refused these for good: keys still claimed by their item's attempt are barred until its dead letter has committed.
-- Where several are held together it is taken out: the others may have been called for.
-- KEYS: one bucket per item
-- ARGV per item: user id, attempt
local now = now_ms()
for i = 1, #KEYS do
  local at = (i - 1) * 2 + 1
  local user, attempt = ARGV[at], ARGV[at + 1]
  local holder, since = string.match(redis.call('HGET', KEYS[i], user) or '', '^A(.-):(%d+)$')
  local others, mine = {}, false
  for _, name in ipairs(attempts_in(holder)) do
    if name == attempt then mine = true else others[#others + 1] = name end
  end
  if mine and #others > 0 then
    redis.call('HSET', KEYS[i], user, 'A' .. joined(others) .. ':' .. since)
  elseif mine then
    redis.call('HSET', KEYS[i], user, 'B' .. attempt .. ':' .. string.format('%.0f', now))
  end
end
return #KEYS
