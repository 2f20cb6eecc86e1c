-- Rebuild: puts back what ledger and intents know. Never lowers a state.
-- KEYS: one bucket per item
-- ARGV per item: user id, value, bucket's expiry (unix s)
local rank = { A = 1, D = 1, U = 2, u = 2, S = 3, s = 4 }
local function ranked(value)
  return rank[string.sub(value, 1, 1)] or 0
end
for i = 1, #KEYS do
  local at = (i - 1) * 3 + 1
  if ranked(ARGV[at + 1]) > ranked(redis.call('HGET', KEYS[i], ARGV[at]) or '') then
    put(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2])
  end
end
return #KEYS
