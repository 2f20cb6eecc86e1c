-- The marker. KEYS: marker. ARGV: nothing, or the run id under which the set was rebuilt.
-- With a run id: sets the marker if the server is still that one. Returns {whole (1 or 0), the server's run id}.
local id = run_id()
if ARGV[1] == id then
  redis.call('SET', KEYS[1], id)
end
return { redis.call('GET', KEYS[1]) == id and 1 or 0, id }
