-- The ledger holds these outcomes, so they are facts: `sent` stands over everything but SES's word that it dropped that
-- attempt, `uncertain` over what is not better known and not another attempt's.
-- KEYS: one bucket per item
-- ARGV per item: user id, what (s or u), value's text, attempt
-- Returns each key's value after the step.
local out = {}
for i = 1, #KEYS do
  local at = (i - 1) * 4 + 1
  local user, what, text, attempt = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local value = redis.call('HGET', KEYS[i], user) or ''
  local state = string.sub(value, 1, 1)
  local mine = (string.match(value, '^A(.-):%d+$') or string.match(value, '^U(.+)$')) == attempt
  local sent = what == 's' and state ~= 's' and string.match(value, '^R([^:]+)') ~= attempt
  if sent or (what == 'u' and (value == '' or mine)) then
    value = what .. text
    put(KEYS[i], user, value)
  end
  out[i] = value
end
return out
