-- The ledger holds these as uncertain. Only in a set that is whole: in one of another life they may be resolved.
-- KEYS: marker, then one bucket per item
-- ARGV per item: user id, attempt
-- Returns each key's value after the step.
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
local out = {}
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], (i - 1) * 2 + 1
  local value = redis.call('HGET', bucket, ARGV[at]) or ''
  out[i] = with_record(value, 'u', ARGV[at + 1], ARGV[at + 1])
  if out[i] ~= value then put(bucket, ARGV[at], out[i]) end
end
return out
