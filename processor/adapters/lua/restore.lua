-- Rebuild: puts back what ledger and intents know. Never lowers a state.
-- KEYS: one bucket per item
-- ARGV per item: user id, value, bucket's expiry (unix s)
local rank = { A = 1, D = 1, U = 2, u = 2, R = 3, S = 4, s = 5 }
local function ranked(value)
  return rank[string.sub(value, 1, 1)] or 0
end
-- While the set is not whole nobody claims. So an open intent that the topics hold beside another attempt's doubt is the
-- later one: a resend.
local function is_later(new, old)
  local attempt, doubted = string.match(new, '^A(.-):%d+$'), string.match(old, '^[UuR](.+)$')
  return attempt and doubted and attempt ~= doubted
end
for i = 1, #KEYS do
  local at = (i - 1) * 3 + 1
  local old = redis.call('HGET', KEYS[i], ARGV[at]) or ''
  if ranked(ARGV[at + 1]) > ranked(old) or is_later(ARGV[at + 1], old) then
    put(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2])
  end
end
return #KEYS
