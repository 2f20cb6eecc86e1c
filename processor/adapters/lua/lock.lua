-- A rebuild begins, or goes on. KEYS: lock. ARGV: token, ms until the lock ends by itself, 1 to begin.
-- A lock that another run of the server granted holds nobody: a file or a replica has brought it back.
-- Returns 1 when the lock is the token's after the step.
local run = run_id()
if run == '' then return 0 end
local held = redis.call('GET', KEYS[1])
local free = not held or string.sub(held, -#run - 1) ~= ':' .. run
if held == ARGV[1] .. ':' .. run or (free and ARGV[3] == '1') then
  redis.call('SET', KEYS[1], ARGV[1] .. ':' .. run, 'PX', ARGV[2])
  return 1
end
return 0
