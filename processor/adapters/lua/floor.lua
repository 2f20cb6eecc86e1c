-- The set's own floor is raised, and what stands below it dropped: never the one without the other.
-- KEYS: floor, then what may be dropped: buckets (`...:YYYY-MM:BBBB`) and what is kept beside them (`...:YYYY-MM`)
-- ARGV: the month that is to be the floor (empty: whatever it is)
-- Returns the floor after the step. It is never lowered: what stood below it is gone.
local floor = redis.call('GET', KEYS[1]) or ''
if ARGV[1] > floor then
  floor = ARGV[1]
  redis.call('SET', KEYS[1], floor)
end
for i = 2, #KEYS do
  local month = string.match(KEYS[i], ':(%d%d%d%d%-%d%d):%x+$') or string.match(KEYS[i], ':(%d%d%d%d%-%d%d)$')
  if month and month < floor then redis.call('UNLINK', KEYS[i]) end
end
return floor
