-- Who tells of records: a letter about one whose key is not barred is written by one process at a time. A note lasts one
-- lifetime, which is longer than Kafka takes a late transaction; whoever finds none asks the topic of letters after this.
-- KEYS: marker, then one note per record
-- ARGV: who asks, lifetime ms, for whom
-- Returns for each record 1 if it is the caller's to tell of, else 0.
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
local out = {}
for i = 2, #KEYS do
  local held = redis.call('GET', KEYS[i])
  local mine = not held or held == ARGV[1]
  if mine then redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2]) end
  out[i - 1] = mine and 1 or 0
end
return out
