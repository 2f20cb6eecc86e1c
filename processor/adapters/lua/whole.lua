-- The marker. KEYS: marker. Returns {whole (1 or 0), the server's run id}.
return { is_whole(KEYS[1]) and 1 or 0, run_id() }
