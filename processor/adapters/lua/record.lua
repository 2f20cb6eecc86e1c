-- The ledger holds these outcomes, so they are facts: `sent` stands over everything, `uncertain` over what is not better
-- known and not another attempt's.
-- KEYS: one bucket per item
-- ARGV per item: user id, what (s or u), fingerprint or attempt, bucket's expiry (unix s)
for i = 1, #KEYS do
  local at = (i - 1) * 4 + 1
  local user, what, text = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local value = redis.call('HGET', KEYS[i], user) or ''
  local state = string.sub(value, 1, 1)
  local mine = state == 'U' or string.match(value, '^A(.-):%d+$') == text
  if (what == 's' and state ~= 's') or (what == 'u' and (value == '' or mine)) then
    put(KEYS[i], user, what .. text, ARGV[at + 3])
  end
end
return #KEYS
