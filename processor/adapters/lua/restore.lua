-- Rebuild: puts back what ledger and intents know. Never lowers a state, but frees claims whose attempts have ended: the
-- server's file or a replica may have brought them back. A claim is sending since now, by this server's clock: an intent's
-- own time is some machine's, and its call may have begun long after it. A bar is kept beside the intent of its own attempt
-- alone.
-- KEYS: lock, then one bucket per item
-- ARGV: token, ms until the lock ends by itself, MessagePack (a list of one argument is packed much faster than many): per item user id, value,
-- partition and offset of the open intents' records, attempts that have ended (between blanks)
if not holds(KEYS[1], ARGV[1]) then
  return redis.error_reply('NOTHELD the rebuild has lost its lock')
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local rank = { A = 1, D = 1, U = 2, u = 2, R = 3, S = 4, s = 5 }
local now = now_ms()
local function ranked(value)
  return rank[string.sub(value, 1, 1)] or 0
end
-- The claim of every attempt that the topics hold open, and of those in the set that they do not know: one that it names
-- alone may be claimed again by its holder, several by none of them. So what a lagging replica knows of one must go.
local function sending(attempts, held, ended)
  local seen, names = {}, {}
  for _, list in ipairs({ attempts, held }) do
    for _, name in ipairs(list) do
      if not seen[name] and not (list == held and ended[name]) then names[#names + 1] = name end
      seen[name] = true
    end
  end
  return 'A' .. joined(names, true) .. ':' .. string.format('%.0f', now)
end
-- While the set is not whole nobody claims. So an open intent that the topics hold beside another, uncertain attempt is the
-- later one: a resend. And one whose record comes after the one that closed the key, or stands elsewhere, was granted after.
local function is_later(attempt, old, partition, offset)
  local uncertain = string.match(old, '^[UuR]([^:]+)')
  local closed, ends = string.match(old, '^D(%d+):(%d+)$')
  return (uncertain and attempt ~= uncertain) or (closed and (tonumber(closed) ~= partition or offset > tonumber(ends)))
end
local items = cmsgpack.unpack(ARGV[3])
for i = 1, #items do
  local user, value, partition, offset, ended_names = unpack(items[i])
  local bucket, ended = KEYS[i + 1], {}
  redis.call('PERSIST', bucket)  -- 0.1 let it expire
  for name in string.gmatch(ended_names, '%S+') do ended[name] = true end
  local old = redis.call('HGET', bucket, user) or ''
  local attempt, holder = string.match(value, '^A(.-):%d+$'), string.match(old, '^A(.-):%d+$')
  local bar = string.match(old, '^B(.-):%d+$')
  local refused = bar and bar == attempt
  local over = holder ~= nil
  for _, name in ipairs(attempts_in(holder)) do over = over and ended[name] end
  if over then old = '' end
  if attempt and not refused and (ranked(old) == 0 or holder or is_later(attempt, old, partition, offset)) then
    put(bucket, user, sending(attempts_in(attempt), attempts_in(holder), ended))
  elseif not attempt and ranked(value) > ranked(old) then
    put(bucket, user, value)
  elseif over then
    redis.call('HDEL', bucket, user)
  end
end
return #items
