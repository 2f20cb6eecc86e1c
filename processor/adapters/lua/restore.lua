-- Rebuild: puts back what ledger and intents know. Never lowers a state, but frees claims whose attempts have ended: the
-- server's file or a replica may have brought them back. A bar is kept beside the intent of its own attempt alone.
-- KEYS: lock, then one bucket per item
-- ARGV: token, ms until the lock ends by itself, MessagePack (a list of one argument is packed much faster than many): per item user id, value, bucket's expiry
-- (unix s), partition of the topics it comes from, attempts that have ended (between blanks)
if not holds(KEYS[1], ARGV[1]) then
  return redis.error_reply('NOTHELD the rebuild has lost its lock')
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local rank = { A = 1, D = 1, U = 2, u = 2, R = 3, S = 4, s = 5 }
local function ranked(value)
  return rank[string.sub(value, 1, 1)] or 0
end
-- While the set is not whole nobody claims. So an open intent that the topics hold beside another attempt's doubt is the
-- later one: a resend.
local function is_later(new, old, partition)
  local attempt, doubted = string.match(new, '^A(.-):%d+$'), string.match(old, '^[UuR]([^:]+)')
  local elsewhere = string.match(old, '^D(%d+):')
  -- Partitions were added: another partition's ended record says nothing of a call under this one's.
  -- Several open intents: what a lagging replica knows of one of them must not let its holder claim it again.
  local nobodys = attempt and string.sub(attempt, 1, 1) == '~' and string.sub(old, 1, 1) == 'A'
  return attempt and (nobodys or (doubted and attempt ~= doubted) or (elsewhere and tonumber(elsewhere) ~= partition))
end
local items = cmsgpack.unpack(ARGV[3])
for i = 1, #items do
  local user, value, expiry, partition, ended = unpack(items[i])
  local bucket = KEYS[i + 1]
  local old = redis.call('HGET', bucket, user) or ''
  local holder = string.match(old, '^A(.-):%d+$')
  local bar = string.match(old, '^B(.-):%d+$')
  local refused = bar and bar == string.match(value, '^A(.-):%d+$')
  local over = holder and string.find(' ' .. ended .. ' ', ' ' .. holder .. ' ', 1, true)
  if over then old = '' end
  if not refused and (ranked(value) > ranked(old) or is_later(value, old, partition)) then
    put(bucket, user, value, expiry)
  elseif over then
    redis.call('HDEL', bucket, user)
  end
end
return #items
