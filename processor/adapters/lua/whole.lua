-- The marker. KEYS: marker. Returns {whole (1 or 0), the server's run id}.
local id = run_id()
return { redis.call('GET', KEYS[1]) == id and 1 or 0, id }
