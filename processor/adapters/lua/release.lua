-- Certainly not sent, or never called: takes the item's attempt out of its key's claim, or its bar, and frees a key that no
-- other holds. A resend's key is in doubt again, as it was before: the claim hid what it was granted over.
-- Only in a set that is whole: whoever has begun another lineage may have put the claim into it, and has not heard of this.
-- KEYS: marker, then one bucket per item
-- ARGV per item: user id, attempt, attempt that a resend overrides (or nothing)
if not is_whole(KEYS[1]) then
  return redis.error_reply(NOT_WHOLE)
end
for i = 1, #KEYS - 1 do
  local bucket, at = KEYS[i + 1], (i - 1) * 3 + 1
  local before = redis.call('HGET', bucket, ARGV[at]) or ''
  exchange(bucket, ARGV[at], before, without(before, ARGV[at + 1], ARGV[at + 2]))
end
return #KEYS - 1
