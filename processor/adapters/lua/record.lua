-- The ledger holds these outcomes: `sent` drops its message id, `uncertain` notes that it is recorded.
-- KEYS: one bucket per item
-- ARGV per item: user id, what (s or u), fingerprint or attempt
for i = 1, #KEYS do
  local at = (i - 1) * 3 + 1
  local value = redis.call('HGET', KEYS[i], ARGV[at])
  local state = string.sub(value or '', 1, 1)
  if ARGV[at + 1] == 's' and state == 'S' then
    redis.call('HSET', KEYS[i], ARGV[at], 's' .. ARGV[at + 2])
  elseif ARGV[at + 1] == 'u' and value == 'U' .. ARGV[at + 2] then
    redis.call('HSET', KEYS[i], ARGV[at], 'u' .. ARGV[at + 2])
  end
end
return #KEYS
